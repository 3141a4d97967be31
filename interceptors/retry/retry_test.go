package retry_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// waits records the waits between attempts, which take no time.
type waits struct {
	mu  sync.Mutex
	all []time.Duration
	end error // of each wait
}

func (w *waits) sleep(_ context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, d)
	return w.end
}

// backend fails its first calls with a code, and counts all.
type backend struct {
	hauberktest.Backend

	calls atomic.Int64
}

func failing(times int64, code codes.Code) *backend {
	b := &backend{}
	b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
		if n := b.calls.Add(1); n <= times {
			return status.Errorf(code, "attempt %d", n)
		}
		return hauberktest.Echo(ctx, s)
	}
	return b
}

func start(t *testing.T, kind hauberk.Kind, b *backend, interceptors ...hauberk.Interceptor) *hauberktest.Env {
	t.Helper()
	return hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, &b.Backend, interceptors...)
}

// all returns a retry of all methods: those of the test service are not marked as
// idempotent.
func all(config retry.Config, opts ...retry.Option) *retry.Interceptor {
	config.AllMethods = true
	return retry.New(config, opts...)
}

func kinds(t *testing.T, test func(t *testing.T, kind hauberk.Kind)) {
	t.Helper()
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			test(t, kind)
		})
	}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func wantCalls(t *testing.T, b *backend, want int64) {
	t.Helper()
	if got := b.calls.Load(); got != want {
		t.Errorf("%d attempts, want %d", got, want)
	}
}

func TestRetry(t *testing.T) {
	cases := []struct {
		name     string
		config   retry.Config
		failures int64
		code     codes.Code
		want     codes.Code
		attempts int64
	}{
		{"succeeds at the third", retry.Config{}, 2, codes.Unavailable, codes.OK, 3},
		{"gives up", retry.Config{MaxAttempts: 4}, 9, codes.Unavailable, codes.Unavailable, 4},
		{"turned off", retry.Config{MaxAttempts: 1}, 9, codes.Unavailable, codes.Unavailable, 1},
		{"another code", retry.Config{}, 9, codes.NotFound, codes.NotFound, 1},
		{"a configured code", retry.Config{RetryableStatusCodes: []codes.Code{codes.Aborted}}, 1, codes.Aborted, codes.OK, 2},
		{"no codes", retry.Config{RetryableStatusCodes: []codes.Code{}}, 9, codes.Unavailable, codes.Unavailable, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				w, b := &waits{}, failing(c.failures, c.code)
				config := c.config
				config.MaxReplayBytes = 1 << 10
				out := start(t, kind, b, all(config, retry.WithSleep(w.sleep))).Call(t.Context(), "a", "b")
				wantCode(t, out.Err, c.want)
				wantCalls(t, b, c.attempts)
				if len(w.all) != int(c.attempts)-1 {
					t.Errorf("%d waits", len(w.all))
				}
				if c.want != codes.OK && !strings.HasSuffix(out.Err.Error(), "attempt "+string(rune('0'+c.attempts))) {
					t.Errorf("got %v, want the last attempt's error", out.Err)
				}
			})
		})
	}
}

// TestRequestStreamsPass: without MaxReplayBytes calls that stream requests are not
// retried.
func TestRequestStreamsPass(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w, b := &waits{}, failing(1, codes.Unavailable)
		out := start(t, kind, b, all(retry.Config{}, retry.WithSleep(w.sleep))).Call(t.Context())
		if kind.ClientStreams() {
			wantCode(t, out.Err, codes.Unavailable)
			wantCalls(t, b, 1)
		} else {
			wantCode(t, out.Err, codes.OK)
			wantCalls(t, b, 2)
		}
	})
}

func TestBackoffGrows(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w := &waits{}
	config := retry.Config{MaxAttempts: 6, InitialBackoff: time.Second, MaxBackoff: 5 * time.Second, NoJitter: true}
	out := start(t, hauberk.Unary, failing(9, codes.Unavailable), all(config, retry.WithSleep(w.sleep))).Call(t.Context())
	wantCode(t, out.Err, codes.Unavailable)
	want := []time.Duration{1e9, 2e9, 4e9, 5e9, 5e9}
	for i, d := range w.all {
		if d != want[i] {
			t.Errorf("wait %d is %v, want %v", i+1, d, want[i])
		}
	}
}

func TestJitter(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 80 * time.Millisecond, 0.5: 100 * time.Millisecond} {
		w := &waits{}
		r := all(retry.Config{}, retry.WithSleep(w.sleep), retry.WithRandom(func() float64 { return random }))
		out := start(t, hauberk.Unary, failing(1, codes.Unavailable), r).Call(t.Context())
		wantCode(t, out.Err, codes.OK)
		if len(w.all) != 1 || (w.all[0]-want).Abs() > time.Microsecond {
			t.Errorf("random %v: waited %v, want %v", random, w.all, want)
		}
	}
}

// TestDisable: the call option turns retries off for a call.
func TestDisable(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w, b := &waits{}, failing(1, codes.Unavailable)
		env := start(t, kind, b, all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep(w.sleep)))
		out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, retry.Disable())
		wantCode(t, out.Err, codes.Unavailable)
		wantCalls(t, b, 1)
	})
}

// TestNoWaitAfterAResponse: once the application has received a response there is neither
// an attempt nor a wait.
func TestNoWaitAfterAResponse(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			w, b := &waits{}, &backend{}
			b.Handle = func(_ context.Context, s hauberktest.Stream) error {
				b.calls.Add(1)
				if err := s.Send(&testpb.Response{Text: "one"}); err != nil {
					return err
				}
				return status.Error(codes.Unavailable, "then down")
			}
			out := start(t, kind, b, all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep(w.sleep))).Call(t.Context())
			wantCode(t, out.Err, codes.Unavailable)
			if len(out.Responses) != 1 || len(w.all) != 0 {
				t.Errorf("%d responses, waits %v", len(out.Responses), w.all)
			}
			wantCalls(t, b, 1)
		})
	}
}

// TestRejectionsAreFinal: an attempt that an inner interceptor rejected is not retried.
func TestRejectionsAreFinal(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w, b := &waits{}, failing(0, codes.OK)
		reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.Unavailable, "OPEN", "open")
		})
		out := start(t, kind, b, all(retry.Config{}, retry.WithSleep(w.sleep)), reject).Call(t.Context())
		wantCode(t, out.Err, codes.Unavailable)
		if len(w.all) != 0 {
			t.Errorf("waits %v", w.all)
		}
		wantCalls(t, b, 0)
	})
}

// TestDeadline: a wait that would pass the caller's deadline does not begin.
func TestDeadline(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		b := failing(9, codes.Unavailable)
		r := all(retry.Config{InitialBackoff: time.Hour, MaxBackoff: time.Hour, MaxReplayBytes: 1 << 10})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantCode(t, start(t, kind, b, r).Call(ctx).Err, codes.Unavailable)
		wantCalls(t, b, 1)
	})
}

// TestCancelledWait: a caller that cancels during a wait gets CANCELLED.
func TestCancelledWait(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		b := failing(9, codes.Unavailable)
		ctx, cancel := context.WithCancel(t.Context())
		sleep := func(ctx context.Context, _ time.Duration) error {
			cancel()
			return retry.Sleep(ctx, time.Hour)
		}
		r := all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep(sleep))
		wantCode(t, start(t, kind, b, r).Call(ctx).Err, codes.Canceled)
		wantCalls(t, b, 1)
	})
}

// TestAttemptNumber: inner interceptors see the number of their attempt.
func TestAttemptNumber(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w, b := &waits{}, failing(2, codes.Unavailable)
	var seen []int
	inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		seen = append(seen, retry.Attempt.Or(ctx, 0))
		return next(ctx, call)
	})
	wantCode(t, start(t, hauberk.Unary, b, all(retry.Config{}, retry.WithSleep(w.sleep)), inner).Call(t.Context()).Err, codes.OK)
	if len(seen) != 3 || seen[0] != 1 || seen[2] != 3 {
		t.Errorf("attempts %v", seen)
	}
}

// TestSides: retry cannot be attached to a server.
func TestSides(t *testing.T) {
	if got := retry.New(retry.Config{}).Declare().Sides; got != hauberk.OnlyClients {
		t.Errorf("Sides is %v, want OnlyClients", got)
	}
}

func TestSleep(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	if err := retry.Sleep(ctx, 2*time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait beyond the deadline: %v", err)
	}
	if err := retry.Sleep(ctx, 0); err != nil {
		t.Error(err)
	}
	cancel()
	if err := retry.Sleep(ctx, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait: %v", err)
	}
}

// TestBadConfig: each wrong field is reported by its name.
func TestBadConfig(t *testing.T) {
	for name, c := range map[string]struct {
		config retry.Config
		want   string
	}{
		"attempts":     {retry.Config{MaxAttempts: -1}, "MaxAttempts is -1"},
		"timeout":      {retry.Config{PerAttemptTimeout: -1}, "PerAttemptTimeout is -1ns"},
		"replay":       {retry.Config{MaxReplayBytes: -1}, "MaxReplayBytes is -1"},
		"code OK":      {retry.Config{RetryableStatusCodes: []codes.Code{codes.OK}}, "RetryableStatusCodes has OK"},
		"no code":      {retry.Config{RetryableStatusCodes: []codes.Code{99}}, "RetryableStatusCodes has Code(99)"},
		"backoff":      {retry.Config{InitialBackoff: -time.Second}, "InitialBackoff is -1s"},
		"max":          {retry.Config{MaxBackoff: -time.Second}, "MaxBackoff is -1s"},
		"max too low":  {retry.Config{MaxBackoff: time.Millisecond}, "MaxBackoff is 1ms, below InitialBackoff, 100ms"},
		"delay":        {retry.Config{MaxServerDelay: -1}, "MaxServerDelay is -1ns"},
		"method":       {retry.Config{Methods: []string{"Get"}}, `Methods has "Get"`},
		"multiplier":   {retry.Config{BackoffMultiplier: -0.5}, "BackoffMultiplier is -0.5"},
		"infinity":     {retry.Config{BackoffMultiplier: math.Inf(1)}, "BackoffMultiplier is +Inf"},
		"wild jitter":  {retry.Config{Jitter: 2}, "Jitter is 2"},
		"jitter's NaN": {retry.Config{Jitter: math.NaN()}, "Jitter is NaN"},
		"both jitters": {retry.Config{Jitter: 0.1, FullJitter: true}, "FullJitter true; want one of them"},
		"no full one":  {retry.Config{NoJitter: true, FullJitter: true}, "FullJitter true; want one of them"},
	} {
		if _, err := hauberk.New(all(c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	if _, err := hauberk.New(all(retry.Config{}, retry.WithSleep(nil))); err == nil {
		t.Error("a nil sleep was accepted")
	}
}

// TestAllErrors: all wrong fields are reported at once.
func TestAllErrors(t *testing.T) {
	_, err := hauberk.New(retry.New(retry.Config{
		Methods: []string{"Get"}, MaxAttempts: -1, RetryableStatusCodes: []codes.Code{codes.OK}, Jitter: 2,
		InitialBackoff: -1, MaxBackoff: -1, BackoffMultiplier: -0.5, MaxServerDelay: -1, PerAttemptTimeout: -1, MaxReplayBytes: -1,
	}, retry.WithSleep(nil)))
	for _, want := range []string{
		"Methods", "MaxAttempts", "RetryableStatusCodes", "Jitter", "InitialBackoff", "MaxBackoff", "BackoffMultiplier",
		"MaxServerDelay", "PerAttemptTimeout", "MaxReplayBytes", "WithSleep",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
}

// TestConfigIsCopied: a later change of the caller's slices changes nothing.
func TestConfigIsCopied(t *testing.T) {
	list, methods := []codes.Code{codes.Unavailable}, []string{"hauberk.test.v1.TestService/*"}
	r := retry.New(retry.Config{Methods: methods, RetryableStatusCodes: list}, retry.WithSleep((&waits{}).sleep))
	list[0], methods[0] = codes.NotFound, "x.Y/*"
	for code, attempts := range map[codes.Code]int64{codes.NotFound: 1, codes.Unavailable: 2} {
		b := failing(1, code)
		start(t, hauberk.Unary, b, r).Call(t.Context())
		wantCalls(t, b, attempts)
	}
}

// TestAllocations: a call that needs no retry costs no allocation, with the budget.
func TestAllocations(t *testing.T) {
	measure := func(interceptors ...hauberk.Interceptor) float64 {
		conn := hauberk.Must(hauberk.New(interceptors...)).ClientConn(hauberktest.Conn{})
		return testing.AllocsPerRun(1000, func() {
			_ = conn.Invoke(context.Background(), testpb.TestService_Unary_FullMethodName, &testpb.Request{}, reply)
		})
	}
	if bare, with := measure(), measure(all(retry.Config{})); with > bare {
		t.Errorf("%v allocations, %v without", with, bare)
	}
}

// reply is the response of the calls that hauberktest.Conn answers.
var reply = &testpb.Response{}
