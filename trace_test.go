package hauberk_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

func deciding(name string, f hauberk.Func) hauberk.Interceptor {
	return &declared{f, hauberk.Declaration{Name: name, Decides: true}}
}

func turnDown(context.Context, *hauberk.Call, hauberk.Next) error { return errLimits }

// TestDecisionTrace has what each kind of interceptor decides on a call that the last one
// rejects, without any of them recording it.
func TestDecisionTrace(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen, recorded := make(decisions, 1), make(decisions, 1)
		never := func(*hauberk.Call) bool { return false }
		abstaining := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.Abstain()
			return next(ctx, call)
		})
		hooked := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(msg any, emit func(any) error) error {
				call.Decide(hauberk.Decision{Interceptor: "by message", Rule: "size"})
				return emit(msg)
			})
			return next(ctx, call)
		})
		env := c.Start(t, seen.interceptor(), hauberk.Func(
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				recorded <- slices.Clone(call.Decisions().Recorded())
				return err
			}),
			hauberk.Func(idle), // does not decide
			deciding("quota", idle),
			hauberk.Named("trial", hauberk.Shadow(deciding("quota", idle))),
			hauberk.Shadow(deciding("second trial", turnDown)),
			hauberk.When(never, deciding("sometimes", turnDown)),
			deciding("not asked", abstaining),
			deciding("by message", hooked),
			hauberk.Named("last", deciding("limit", turnDown)),
			deciding("never reached", idle),
		)
		wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		shadow := hauberk.Decision{Interceptor: "second trial", Verdict: hauberk.Rejected, Reason: "LIMITED", Shadow: true}
		rejected := hauberk.Decision{Interceptor: "last", Verdict: hauberk.Rejected, Reason: "LIMITED"}
		want := []hauberk.Decision{
			{Interceptor: "quota"},
			{Interceptor: "trial", Shadow: true},
			shadow,
			{Interceptor: "by message"},
			rejected,
		}
		wantRecorded := []hauberk.Decision{shadow, rejected}
		if c.Side == hauberk.ClientSide && c.Kind == hauberk.Unary {
			// The request of a unary call is there before the chain, and passes the hooks on the way in.
			want[3].Rule = "size"
			wantRecorded = []hauberk.Decision{shadow, want[3], rejected}
		}
		if got := <-recorded; !slices.Equal(got, wantRecorded) {
			t.Errorf("recorded:\n got %+v\nwant %+v", got, wantRecorded)
		}
		if got := <-seen; !slices.Equal(got, want) {
			t.Errorf("decisions:\n got %+v\nwant %+v", got, want)
		}
	})
}

// TestDecisionsAfterTheEnd reads the trace of a call that is over.
func TestDecisionsAfterTheEnd(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		calls := make(chan *hauberk.Call, 1)
		env := c.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			calls <- call
			return next(ctx, call)
		}), deciding("quota", idle))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		if got := (<-calls).Decisions().All(); !slices.Equal(got, []hauberk.Decision{{Interceptor: "quota"}}) {
			t.Errorf("decisions %+v", got)
		}
	})
}

// TestDecisionTraceOfAttempts has an interceptor that lets the first attempt pass and
// rejects the second.
func TestDecisionTraceOfAttempts(t *testing.T) {
	for _, beside := range []bool{false, true} {
		again := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			if !beside {
				return next(ctx, call)
			}
			attempt := call.Attempt()
			defer call.Adopt(attempt)
			return next(ctx, attempt)
		})
		attempts := 0
		second := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			attempts++
			if attempts == 2 {
				return errLimits
			}
			_ = next(ctx, call)
			return errDown
		})
		seen := make(decisions, 1)
		chain := hauberk.Must(hauberk.New(seen.interceptor(), again, deciding("second", second), deciding("inner", idle)))
		wantCode(t, clientCall(chain, hauberk.Unary)(), codes.ResourceExhausted)
		want := []hauberk.Decision{
			{Interceptor: "second", Verdict: hauberk.Rejected, Reason: "LIMITED"},
			{Interceptor: "inner"},
		}
		if got := <-seen; !slices.Equal(got, want) {
			t.Errorf("next to %v: decisions %+v", beside, got)
		}
	}
}

// TestRecordedAllocations: metrics and logs ask every call.
func TestRecordedAllocations(t *testing.T) {
	call := new(*hauberk.Call)
	chain := hauberk.Must(hauberk.New(hauberk.Func(
		func(_ context.Context, c *hauberk.Call, _ hauberk.Next) error {
			*call = c
			return errLimits
		})))
	_ = unaryHandler(chain)()
	if got := testing.AllocsPerRun(100, func() {
		if len((*call).Decisions().Recorded()) != 1 {
			t.Error("not recorded")
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
