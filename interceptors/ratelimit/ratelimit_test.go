package ratelimit_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// outcomes is an interceptor that keeps what became of the last call, and what was decided.
type outcomes struct {
	err       error
	decisions []hauberk.Decision
	ended     chan struct{}
}

func (o *outcomes) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	o.err = next(ctx, call)
	o.decisions = call.Decisions().Recorded()
	o.ended <- struct{}{}
	return o.err
}

func observe() *outcomes { return &outcomes{ended: make(chan struct{}, 100)} }

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// retryAfter returns the delay in an error's google.rpc.RetryInfo, or -1.
func retryAfter(err error) time.Duration {
	for _, d := range hauberk.StatusOf(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return -1
}

func TestLimit(t *testing.T) {
	for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		t.Run(a.String(), func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var served atomic.Int64
				backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					served.Add(1)
					return hauberktest.Echo(ctx, s)
				}}
				clock := hauberktest.NewClock()
				limit := ratelimit.Config{Limit: 3, Per: time.Minute, Algorithm: a}
				env := c.StartWith(t, backend, ratelimit.New(limit, ratelimit.WithClock(clock.Now)))
				for range 3 {
					wantCode(t, env.Call(t.Context(), "a", "b").Err, codes.OK)
				}
				for range 3 {
					wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
				}
				if n := served.Load(); n != 3 {
					t.Errorf("%d calls were served, want 3", n)
				}
				clock.Advance(retryAfter(env.Call(t.Context()).Err) - 1)
				wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
				clock.Advance(1)
				wantCode(t, env.Call(t.Context()).Err, codes.OK)
			})
		})
	}
}

// A rejection says on the wire what a client may know, in the process which limit it
// was, and nowhere whose.
func TestRejection(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen, clock := observe(), hauberktest.NewClock()
		limit := ratelimit.Config{Limit: 2, Per: time.Minute, Burst: 1, By: callkey.Func("tenant", one)}
		env := c.Start(t, seen, ratelimit.New(limit, ratelimit.WithClock(clock.Now)))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		<-seen.ended
		if len(seen.decisions) != 0 {
			t.Errorf("a call that passed has the decisions %v", seen.decisions)
		}
		err := env.Call(t.Context()).Err
		<-seen.ended
		wantRejection(t, err, "tenant", 30*time.Second)
		wantRejection(t, seen.err, "tenant", 30*time.Second)
		if !errors.Is(seen.err, ratelimit.ErrLimited) || c.Side == hauberk.ClientSide && !errors.Is(err, ratelimit.ErrLimited) {
			t.Errorf("%v is not ErrLimited", err)
		}
		want := hauberk.Decision{
			Interceptor: "ratelimit", Rule: "2 in 1m0s, burst 1, by tenant", Verdict: hauberk.Rejected, Reason: "RATE_LIMITED",
		}
		if len(seen.decisions) != 1 || seen.decisions[0] != want {
			t.Errorf("decisions %+v, want %+v", seen.decisions, want)
		}
	})
}

func one(context.Context, *hauberk.Call) (string, bool) { return "secret", true }

func wantRejection(t *testing.T, err error, subject string, wait time.Duration) {
	t.Helper()
	wantCode(t, err, codes.ResourceExhausted)
	if got := status.Convert(err).Message(); got != "Rate limit exceeded" {
		t.Errorf("message %q", got)
	}
	if got := hauberk.Reason(err); got != ratelimit.ReasonLimited {
		t.Errorf("reason %q", got)
	}
	if got := retryAfter(err); got != wait {
		t.Errorf("retry after %v, want %v", got, wait)
	}
	var violations []*errdetails.QuotaFailure_Violation
	for _, d := range hauberk.StatusOf(err).Details() {
		if quota, ok := d.(*errdetails.QuotaFailure); ok {
			violations = quota.GetViolations()
		}
	}
	if len(violations) != 1 || violations[0].GetSubject() != subject || violations[0].GetDescription() != "Rate limit exceeded" {
		t.Errorf("quota violations %v, want one of %q", violations, subject)
	}
}

// A call is rejected on its header alone.
func TestRejectedBeforeTheRequest(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.Start(t, ratelimit.New(oneAMinute))
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			stream, err := env.Client.NewStream(ctx,
				&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, hauberktest.FullMethod(kind))
			if err != nil {
				t.Fatal(err)
			}
			wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.ResourceExhausted)
		})
	}
}

// In shadow the same calls are charged, and all pass.
func TestShadow(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		limiter := ratelimit.New(ratelimit.Config{Limit: 2, Per: time.Minute}, ratelimit.WithClock(hauberktest.NewClock().Now))
		shadow, seen := hauberk.Shadow(limiter), observe()
		env := c.Start(t, seen, shadow)
		for range 5 {
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			<-seen.ended
		}
		if n := shadow.Rejections(); n != 3 {
			t.Errorf("%d rejections, want 3", n)
		}
		if len(seen.decisions) != 1 || !seen.decisions[0].Shadow || seen.decisions[0].Reason != ratelimit.ReasonLimited {
			t.Errorf("decisions %+v", seen.decisions)
		}
		wantCode(t, c.Start(t, limiter).Call(t.Context()).Err, codes.ResourceExhausted)
	})
}

// Inside a retry each attempt is charged, and a rejection is the end of it.
func TestAttempts(t *testing.T) {
	var attempts int
	failing := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		attempts++
		return status.Error(codes.Unavailable, "no")
	})
	thrice := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = next(ctx, call)
		_ = next(ctx, call)
		return next(ctx, call)
	})
	limit := ratelimit.Config{Limit: 2, Per: time.Hour}
	err := client(t, thrice, ratelimit.New(limit), failing)(t.Context(), hauberktest.FullMethod(hauberk.Unary))
	wantCode(t, err, codes.ResourceExhausted)
	if attempts != 2 {
		t.Errorf("%d attempts, want 2", attempts)
	}
}

// While the clock is stopped exactly Limit calls pass, however many come at once.
func TestConcurrentCalls(t *testing.T) {
	const callers, calls = 8, 200
	for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		limit := ratelimit.Config{Limit: callers * calls / 2, Per: time.Minute, Algorithm: a}
		serve := server(t, ratelimit.New(limit, ratelimit.WithClock(hauberktest.NewClock().Now)))
		var passed, rejected atomic.Int64
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range calls {
					if err := serve(from(tcp("192.0.2.1"))); err == nil {
						passed.Add(1)
					} else if errors.Is(err, ratelimit.ErrLimited) || status.Code(err) == codes.ResourceExhausted {
						rejected.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if passed.Load() != callers*calls/2 || rejected.Load() != callers*calls/2 {
			t.Errorf("%s: %d passed, %d were rejected", a, passed.Load(), rejected.Load())
		}
	}
}

// A call that passes costs no allocation beyond its key.
func TestAllocations(t *testing.T) {
	for _, m := range admitting() {
		inside(t, func(pass func(hauberk.Interceptor) error) {
			got := testing.AllocsPerRun(1000, func() {
				if err := pass(m.interceptor); err != nil {
					t.Fatal(err)
				}
			})
			if got > m.allow {
				t.Errorf("%s: %v allocations, budget %v", m.name, got, m.allow)
			}
		})
	}
}
