package deadline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
)

// matrix runs a test for each kind and side, in simulated time.
func matrix(t *testing.T, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		synctest.Test(t, func(t *testing.T) {
			test(t, c)
			pass(2 * time.Hour) // until handlers that ignore their contexts have returned
		})
	})
}

// onServers runs a test for each kind, in simulated time.
func onServers(t *testing.T, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Side == hauberk.ServerSide {
			test(t, c)
		}
	})
}

// pass lets time pass.
func pass(d time.Duration) { <-time.After(d) }

// handler is a backend with a handler.
func handler(handle func(ctx context.Context, s hauberktest.Stream) error) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: handle}
}

// within returns a context with a timeout; 0 for none.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	if d == 0 {
		return t.Context()
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := hauberk.CodeOf(err); got != want {
		t.Errorf("the call ended with %v; want %s", err, want)
	}
}

// wantReason checks the code DEADLINE_EXCEEDED and a reason.
func wantReason(t *testing.T, err error, want string) {
	t.Helper()
	wantCode(t, err, codes.DeadlineExceeded)
	if got := hauberk.Reason(err); got != want {
		t.Errorf("the reason is %q; want %q", got, want)
	}
}

// wantBetween checks how much time has passed.
func wantBetween(t *testing.T, begin time.Time, least, most time.Duration) {
	t.Helper()
	if took := time.Since(begin); took < least || took > most {
		t.Errorf("it took %v; want %v to %v", took, least, most)
	}
}

// witness is an interceptor outside of others, which keeps outcomes and decisions.
type witness struct {
	outcomes  []error
	decisions []hauberk.Decision
}

func (w *witness) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	err := next(ctx, call)
	w.outcomes = append(w.outcomes, err)
	w.decisions = append(w.decisions, call.Decisions().All()...)
	return err
}

// rules is a configuration of rules alone.
func rules(r ...deadline.Rule) deadline.Config { return deadline.Config{Rules: r} }
