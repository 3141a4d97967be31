package deadline_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestMinTimeLeft: a call with too little time left is rejected before the handler begins, and others are not. In
// Shadow it is only recorded.
func TestMinTimeLeft(t *testing.T) {
	for name, c := range map[string]struct {
		caller   time.Duration
		rejected bool
	}{
		"enough":      {101 * time.Millisecond, false},
		"too little":  {99 * time.Millisecond, true},
		"no deadline": {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			matrix(t, func(t *testing.T, m hauberktest.Case) {
				handled := 0
				b := handler(func(ctx context.Context, s hauberktest.Stream) error {
					handled++
					return hauberktest.Echo(ctx, s)
				})
				for _, shadow := range []bool{false, true} {
					var x hauberk.Interceptor = deadline.New(deadline.Config{MinTimeLeft: 100 * time.Millisecond})
					if shadow {
						x = hauberk.Shadow(x)
					}
					handled = 0
					w := new(witness)
					out := m.StartWith(t, b, w, x).Call(within(t, c.caller))
					if enforced := c.rejected && !shadow; enforced {
						wantReason(t, out.Err, deadline.ReasonTooShort)
						if handled != 0 {
							t.Error("the handler has begun")
						}
						if m.Side == hauberk.ClientSide && !errors.Is(out.Err, deadline.ErrTooShort) {
							t.Errorf("errors.Is does not find ErrTooShort in %v", out.Err)
						}
					} else {
						wantCode(t, out.Err, codes.OK)
						if handled != 1 {
							t.Errorf("%d handlers have begun", handled)
						}
					}
					wantDecision(t, w, c.rejected, shadow, c.caller == 0)
				}
			})
		})
	}
}

// wantDecision checks the one decision on a call.
func wantDecision(t *testing.T, w *witness, rejected, shadow, abstains bool) {
	t.Helper()
	if abstains {
		if len(w.decisions) != 0 {
			t.Errorf("decisions are %+v; want none", w.decisions)
		}
		return
	}
	if len(w.decisions) != 1 {
		t.Fatalf("decisions are %+v; want one", w.decisions)
	}
	d := w.decisions[0]
	if d.Interceptor != "deadline" || (d.Verdict == hauberk.Rejected) != rejected || d.Shadow != shadow {
		t.Errorf("the decision is %+v; rejected %t, shadow %t", d, rejected, shadow)
	}
	if rejected && (d.Reason != deadline.ReasonTooShort || !strings.Contains(d.Rule, "MinTimeLeft of 100ms")) {
		t.Errorf("the decision is %+v", d)
	}
}

// TestRejectedBeforeTheRequest: a server does not read the request of a call that it rejects.
func TestRejectedBeforeTheRequest(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		call := hauberktest.Direct{Kind: kind, Decode: func(any) error {
			t.Errorf("%s: the request is read", kind)
			return nil
		}}.Server(hauberk.Must(hauberk.New(deadline.New(deadline.Config{MinTimeLeft: time.Hour}))))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		wantReason(t, call(ctx), deadline.ReasonTooShort)
		cancel()
	}
}

// TestRejectionsAreNotSent: on a client nothing is sent, outer interceptors learn that, and none retries.
func TestRejectionsAreNotSent(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		attempts, unsent := 0, false
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			unsent = call.Unsent()
			return err
		})
		count := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			attempts++
			return next(ctx, call)
		})
		conn := hauberktest.Conn{Outcome: func(string) error {
			t.Error("the call is sent")
			return nil
		}}
		r := retry.New(retry.Config{
			AllMethods: true, MaxReplayBytes: 1 << 10, RetryableStatusCodes: []codes.Code{codes.DeadlineExceeded},
		})
		x := deadline.New(deadline.Config{MinTimeLeft: time.Hour})
		call := hauberktest.Direct{Kind: kind, Conn: conn}.Client(hauberk.Must(hauberk.New(outer, r, count, x)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		wantReason(t, call(ctx), deadline.ReasonTooShort)
		cancel()
		if attempts != 1 || !unsent {
			t.Errorf("%s: %d attempts, unsent is %t", kind, attempts, unsent)
		}
	}
}

// TestTypicalQuantile: after a window with enough calls, those with less time left than the quantile are rejected;
// after windows without successful calls none is.
func TestTypicalQuantile(t *testing.T) {
	matrix(t, func(t *testing.T, c hauberktest.Case) {
		takes, outcome := 100*time.Millisecond, error(nil)
		b := handler(func(ctx context.Context, s hauberktest.Stream) error {
			pass(takes)
			if outcome != nil {
				return outcome
			}
			return hauberktest.Echo(ctx, s)
		})
		x := deadline.New(deadline.Config{TypicalQuantile: 0.9, TypicalWindow: 20 * time.Second})
		env := c.StartWith(t, b, x)
		ended := func(timeout time.Duration) string {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			err := env.Call(ctx).Err
			return hauberk.CodeOf(err).String() + hauberk.Reason(err)
		}
		want := func(when string, timeout time.Duration, want string) {
			if got := ended(timeout); got != want {
				t.Errorf("%s a call with %v ended with %s; want %s", when, timeout, got, want)
			}
		}
		want("at first", 50*time.Millisecond, "DeadlineExceeded")
		for range 40 {
			want("at first", time.Second, "OK")
		}
		pass(7 * time.Second) // less than the default
		want("before the end of the window", 90*time.Millisecond, "DeadlineExceeded")
		pass(10 * time.Second)
		want("after a window", 90*time.Millisecond, "DeadlineExceeded"+deadline.ReasonTooShort)
		want("after a window", 110*time.Millisecond, "OK")
		takes = 10 * time.Millisecond // it has become faster, and all calls are rejected
		for range 3 {
			want("after a window", 90*time.Millisecond, "DeadlineExceeded"+deadline.ReasonTooShort)
		}
		pass(20 * time.Second)
		want("after another window", 90*time.Millisecond, "OK")
		outcome = status.Error(codes.Internal, "broken") // failures do not count
		for range 40 {
			want("then", time.Second, "Internal")
		}
		pass(20 * time.Second)
		want("after a window of failures", 5*time.Millisecond, "DeadlineExceeded")
		pass(time.Hour)
		want("after a long time", 5*time.Millisecond, "DeadlineExceeded")
	})
}

// TestUnknownMethods: methods that the server does not have are not measured.
func TestUnknownMethods(t *testing.T) {
	x := deadline.New(deadline.Config{TypicalQuantile: 0.5, MinTimeLeft: time.Minute})
	env := hauberktest.Case{Kind: hauberk.Unary}.Start(t, x)
	for range 3 {
		out := env.Do(t.Context(), "/no.Such/Method", []*testpb.Request{{}})
		wantCode(t, out.Err, codes.Unimplemented)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	wantReason(t, env.Do(ctx, "/no.Such/Method", []*testpb.Request{{}}).Err, deadline.ReasonTooShort)
}
