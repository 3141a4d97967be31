package retry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// unreliable is a backend that fails a percentage of what it receives. It counts apart what it
// receives for the first 100 calls, by the text of the request.
type unreliable struct {
	hauberktest.Backend

	mu            sync.Mutex
	random        *rand.Rand
	percent       int
	first, beyond int
}

const first = "first"

func unreliableBackend(t *testing.T, percent int) *unreliable {
	b := &unreliable{random: testseed.Rand(t, uint64(percent)), percent: percent}
	b.Handle = func(_ context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		b.mu.Lock()
		if req.GetText() == first {
			b.first++
		} else {
			b.beyond++
		}
		fails := b.random.IntN(100) < b.percent
		b.mu.Unlock()
		if fails {
			return status.Error(codes.Unavailable, "down")
		}
		return s.Send(&testpb.Response{})
	}
	return b
}

// layered returns a client of a service that calls another with each call, and so on: layers
// clients in a row, each with retry and its defaults. The innermost service is the backend.
func layered(t *testing.T, layers int, backend *hauberktest.Backend) *hauberktest.Env {
	t.Helper()
	var env *hauberktest.Env
	for range layers {
		if inner := env; inner != nil {
			backend = &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				req, err := s.Recv()
				if err != nil {
					return err
				}
				if out := inner.Call(ctx, req.GetText()); out.Err != nil {
					return fmt.Errorf("the inner service: %w", out.Err)
				}
				return s.Send(&testpb.Response{})
			}}
		}
		chain := hauberk.Must(hauberk.New(all(retry.Config{})))
		env = hauberktest.Start(t, hauberktest.Setup{Backend: backend, Client: chain})
	}
	return env
}

// TestLoad: with the defaults and at any rate of failures, one layer sends at most 1.2 times the
// calls beyond the first 100, and three layers at most 1.5 times.
func TestLoad(t *testing.T) {
	const calls = 10_000
	for layers, most := range map[int]float64{1: 1.2, 3: 1.5} {
		for _, percent := range []int{10, 50, 100} {
			t.Run(fmt.Sprintf("%d layers, %d%% failures", layers, percent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := unreliableBackend(t, percent)
					env := layered(t, layers, &b.Backend)
					var wg sync.WaitGroup
					for i := range calls {
						text := ""
						if i < 100 {
							text = first
						}
						wg.Go(func() { _ = env.Call(t.Context(), text) })
						<-time.After(time.Millisecond)
					}
					wg.Wait()
					ratio := float64(b.beyond) / (calls - 100)
					t.Logf("%d for the first 100 calls, then %.3f for each", b.first, ratio)
					if ratio > most || ratio < 1 {
						t.Errorf("%d attempts for %d calls: %.3f for each, want 1 to %v", b.beyond, calls-100, ratio, most)
					}
				})
			})
		}
	}
}

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
