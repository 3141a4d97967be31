package metrics_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// retries makes up to three attempts per call.
var retries = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	call.Replayable(1 << 20)
	err := next(ctx, call)
	for range 2 {
		if hauberk.StatusOf(err).Code() == codes.Unavailable {
			err = next(ctx, call)
		}
	}
	return err
})

// flaky returns a backend that reads all requests and fails two of three calls.
func flaky() *hauberktest.Backend {
	var calls atomic.Int64
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if calls.Add(1)%3 != 0 {
			return errors.Join(readAll(s), status.Error(codes.Unavailable, "not yet"))
		}
		return hauberktest.Echo(ctx, s)
	}}
}

// An interceptor outside retries counts calls, and one inside counts attempts. Each attempt has
// its own decisions.
func TestCallsAndAttempts(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			calls, attempts := metrics.New(metrics.Config{}), metrics.New(metrics.Config{})
			env := c.StartWith(t, flaky(), calls, retries, attempts, hauberk.Shadow(limiter{"limits", true}))
			if out := env.Call(t.Context()); out.Err != nil {
				t.Fatal(out.Err)
			}
			checkCounts(t, count(t, calls, c), 1, codes.OK)
			checkMoved(t, calls, c, 1, messages{1, 1})
			s := count(t, attempts, c)
			if s.Calls != 3 || s.Ended != 3 || s.Codes[codes.OK] != 1 || s.Codes[codes.Unavailable] != 2 {
				t.Errorf("attempts: %+v", s)
			}
			if s.Sent != 3 || s.Received != 1 {
				t.Errorf("attempts sent %d and received %d messages, want 3 and 1", s.Sent, s.Received)
			}
			if n := sideOf(attempts, c.Side).ShadowRejections[limited]; n != 3 {
				t.Errorf("%d decisions in 3 attempts", n)
			}
		})
	}
}

// The number of messages of a running stream does not decrease when another attempt starts at
// zero.
func TestNumbersDoNotDecreaseWithAttempts(t *testing.T) {
	hauberktest.CheckLeaks(t)
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Bidi}
	m := metrics.New(metrics.Config{})
	var first uint64
	attempt := 0
	rejectSecond := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		attempt++
		if attempt > 1 {
			return hauberk.Reject(codes.Aborted, "ENOUGH", "no")
		}
		err := next(ctx, call)
		first = count(t, m, c).Sent
		return err
	})
	env := c.StartWith(t, flaky(), m, retries, rejectSecond)
	if out := env.Call(t.Context(), "a", "b"); status.Code(out.Err) != codes.Aborted {
		t.Fatal(out.Err)
	}
	if s := count(t, m, c); first != 2 || s.Sent != first {
		t.Errorf("%d messages after the first attempt, then %d; want 2 both times", first, s.Sent)
	}
}

// Each of several concurrent attempts counts.
func TestHedgedAttempts(t *testing.T) {
	hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		first, second := call.Attempt(), call.Attempt()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = next(ctx, second)
		}()
		err := next(ctx, first)
		cancel()
		<-done
		call.Adopt(first)
		return err
	})
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			calls, attempts := metrics.New(metrics.Config{}), metrics.New(metrics.Config{})
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				if err := readAll(s); err != nil {
					return err
				}
				return s.Send(&testpb.Response{})
			}}
			out := c.StartWith(t, backend, calls, hedge, attempts).Call(t.Context())
			outer, inner := count(t, calls, c), count(t, attempts, c)
			if outer.Calls != 1 || outer.Ended != 1 || outer.Codes[status.Code(out.Err)] != 1 {
				t.Errorf("the call ended with %v: %+v", out.Err, outer)
			}
			if inner.Calls != 2 || inner.Ended != 2 || inner.InFlight != 0 {
				t.Errorf("attempts: %+v", inner)
			}
		})
	}
}

// The messages of a stream that is resumed count once: outside of the interceptor that resumes it for the call, and
// inside for each attempt. They count while the stream runs.
func TestResumedAttempts(t *testing.T) {
	hauberktest.CheckLeaks(t)
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}
	var calls atomic.Int64
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		err := readAll(s)
		for range 3 {
			err = errors.Join(err, s.Send(&testpb.Response{}))
		}
		if calls.Add(1) < 3 {
			err = errors.Join(err, status.Error(codes.Unavailable, "broken"))
		}
		return err
	}}
	resume := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		for err != nil && call.CanResume() {
			if err := call.Resume(&testpb.Request{}); err != nil {
				return err
			}
			err = next(ctx, call)
		}
		return err
	})
	outer, inner := metrics.New(metrics.Config{}), metrics.New(metrics.Config{})
	var seen uint64
	watch := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(func(any) (bool, error) {
			seen++
			if got := count(t, outer, c).Received; got != seen {
				t.Errorf("%d messages received, and %d counted", seen, got)
			}
			return true, nil
		})
		return next(ctx, call)
	})
	out := c.StartWith(t, backend, outer, watch, resume, inner).Call(t.Context())
	if out.Err != nil || len(out.Responses) != 9 {
		t.Fatalf("%d messages, %v", len(out.Responses), out.Err)
	}
	if got := count(t, outer, c); got.Received != 9 || got.Sent != 1 {
		t.Errorf("calls: %+v", got)
	}
	if got := count(t, inner, c); got.Received != 9 || got.Sent != 3 || got.Calls != 3 {
		t.Errorf("attempts: %+v", got)
	}
}
