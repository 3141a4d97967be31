package retry_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// TestBudget: which retries the budget allows, for all kinds of calls.
func TestBudget(t *testing.T) {
	for _, c := range []struct {
		name   string
		config retry.Config
		opts   func() []retry.Option
		want   int64 // attempts of 20 calls
	}{
		{"by default", retry.Config{}, nil, 30},
		{"with a smaller reserve", retry.Config{}, with(retrybudget.Config{Reserve: 3, NoFailureRatio: true}), 24},
		{"without a reserve", retry.Config{}, with(retrybudget.Config{NoReserve: true, NoFailureRatio: true}), 24},
		{"while most calls fail", retry.Config{}, with(retrybudget.Config{Reserve: 100}), 20 + 14},
		{"with tokens", retry.Config{}, with(retrybudget.Config{NoRatio: true, MaxTokens: 10}), 23},
		{"none", retry.Config{NoBudget: true}, nil, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				w, b := &waits{}, failing(1000, codes.Unavailable)
				c.config.MaxReplayBytes = 1 << 10
				opts := []retry.Option{retry.WithSleep(w.sleep)}
				if c.opts != nil {
					opts = append(opts, c.opts()...)
				}
				env := start(t, kind, b, all(c.config, opts...))
				for range 20 {
					wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
				}
				wantCalls(t, b, c.want)
			})
		})
	}
}

func with(config retrybudget.Config) func() []retry.Option {
	return func() []retry.Option { return []retry.Option{retry.WithBudget(retrybudget.New(config))} }
}

// TestSharedBudget: two interceptors have one budget.
func TestSharedBudget(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w, b := &waits{}, failing(1000, codes.Unavailable)
	budget := retrybudget.New(retrybudget.Config{Reserve: 3})
	for range 2 {
		env := start(t, hauberk.Unary, b, all(retry.Config{}, retry.WithSleep(w.sleep), retry.WithBudget(budget)))
		for range 2 {
			wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
		}
	}
	wantCalls(t, b, 4+3)
}

// TestUnusedWaits: a retry that is not made leaves the budget as it is.
func TestUnusedWaits(t *testing.T) {
	for name, end := range map[string]error{"cancelled": context.Canceled, "no time": context.DeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			w, b := &waits{end: end}, failing(1000, codes.Unavailable)
			budget := retrybudget.New(retrybudget.Config{})
			env := start(t, hauberk.Unary, b, all(retry.Config{}, retry.WithSleep(w.sleep), retry.WithBudget(budget)))
			for range 20 {
				_ = env.Call(t.Context())
			}
			if s := budget.Snapshot(); s.Extra != 0 || s.Available != 10 || len(w.all) != 20 {
				t.Errorf("%+v after %d waits, want no extra attempts", s, len(w.all))
			}
		})
	}
}

// TestTokens: what gRFC A6 counts as a failure takes a token.
func TestTokens(t *testing.T) {
	for _, c := range []struct {
		name     string
		code     codes.Code
		pushback string
		want     float64
	}{
		{"retryable", codes.Unavailable, "", 8},
		{"another code", codes.NotFound, "", 10},
		{"another code with a pushback that allows no retry", codes.NotFound, "-1", 9},
		{"another code with a pushback", codes.NotFound, "5", 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				w, b := &waits{}, &backend{}
				b.Handle = func(_ context.Context, s hauberktest.Stream) error {
					if c.pushback != "" {
						s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", c.pushback))
					}
					return status.Error(c.code, "down")
				}
				budget := retrybudget.New(retrybudget.Config{MaxTokens: 10})
				config := retry.Config{MaxAttempts: 2, MaxReplayBytes: 1 << 10}
				env := start(t, kind, b, all(config, retry.WithSleep(w.sleep), retry.WithBudget(budget)))
				wantCode(t, env.Call(t.Context()).Err, c.code)
				if got := budget.Snapshot().Tokens; got != c.want {
					t.Errorf("%v tokens, want %v", got, c.want)
				}
				b.Handle = nil
				wantCode(t, env.Call(t.Context()).Err, codes.OK)
				if got := budget.Snapshot().Tokens; got != min(c.want+0.1, 10) {
					t.Errorf("%v tokens after a success, want 0.1 more than %v", got, c.want)
				}
			})
		})
	}
}

// TestBadBudget: budgets that cannot work are reported by hauberk.New.
func TestBadBudget(t *testing.T) {
	good := retrybudget.New(retrybudget.Config{})
	for name, c := range map[string]struct {
		r    *retry.Interceptor
		want string
	}{
		"nil":       {all(retry.Config{}, retry.WithBudget(nil)), "nil budget"},
		"zero":      {all(retry.Config{}, retry.WithBudget(&retrybudget.Budget{})), "zero Budget"},
		"of 0":      {all(retry.Config{}, retry.WithBudget(retrybudget.New(retrybudget.Config{Ratio: -1}))), "Ratio is -1"},
		"contrary":  {all(retry.Config{NoBudget: true}, retry.WithBudget(good)), "NoBudget"},
		"nil twice": {all(retry.Config{NoBudget: true}, retry.WithBudget(nil)), "nil budget"},
	} {
		if _, err := hauberk.New(c.r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
}
