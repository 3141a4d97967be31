package errs_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// Outer interceptors of a server see the status that the client receives, and the handler's own error.
func TestOuterInterceptors(t *testing.T) {
	for _, kind := range kinds {
		var outcome error
		chain := hauberk.Must(hauberk.New(
			hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				outcome = next(ctx, call)
				if rejected := call.Decisions().Recorded(); len(rejected) > 0 {
					t.Errorf("%v: the error of a handler is recorded as %v", kind, rejected)
				}
				return outcome
			}),
			errs.New(errs.Config{}, newTable()),
		))
		handled := wrap(&stockError{"hat", 2})
		got := hauberktest.Direct{Kind: kind, Service: failing(func() error { return handled })}.Server(chain)(t.Context())
		if hauberk.CodeOf(outcome) != status.Code(got) || hauberk.Reason(outcome) != "OUT_OF_STOCK" || !errors.Is(outcome, handled) {
			t.Errorf("%v: %v; want the status of %v, and the error of the handler", kind, outcome, got)
		}
		if hauberk.RejectionOf(outcome) != nil {
			t.Errorf("%v: metrics would count the error of a handler as a rejection", kind)
		}
	}
}

// A repeat of a call receives the kept error, of which the client finds the type.
func TestKeptErrors(t *testing.T) {
	calls := 0
	x := errs.New(errs.Config{}, newTable())
	env := hauberktest.Start(t, hauberktest.Setup{
		Backend: failing(func() error {
			calls++
			return wrap(&stockError{"hat", int32(calls)})
		}),
		Server: hauberk.Must(hauberk.New(idempotency.New(idempotency.Config{}), x)), Client: hauberk.Must(hauberk.New(x)),
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), idempotency.Header, "8e03978e")
	for range 2 {
		if e, ok := errors.AsType[*stockError](env.Call(ctx).Err); !ok || e.Left != 1 {
			t.Errorf("%v; want the first error", e)
		}
	}
	if calls != 1 {
		t.Errorf("the handler ran %d times", calls)
	}
}

// Lint is silent about the order of the documentation, and reports an interceptor that is outside of others on a server.
func TestLint(t *testing.T) {
	x := errs.New(errs.Config{}, newTable())
	own := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })
	record, recoverer := logging.New(logging.Config{}), recovery.New(recovery.Config{})
	once, again := idempotency.New(idempotency.Config{}), retry.New(retry.Config{})
	faults := hauberk.Named("faults", fault.New(fault.Config{Rules: []fault.Rule{{Abort: &fault.Abort{Code: codes.Aborted}, Percentage: 1}}}))
	orderly := func(side hauberk.Side, chain ...hauberk.Interceptor) int {
		found := 0
		for _, f := range hauberk.Must(hauberk.New(chain...)).Lint(side) {
			if f.Inner != "" {
				found++
			}
		}
		return found
	}
	for name, n := range map[string]int{
		"server":           orderly(hauberk.ServerSide, record, recoverer, once, x, own, faults),
		"client, outside":  orderly(hauberk.ClientSide, x, record, once, again),
		"client, inside":   orderly(hauberk.ClientSide, record, once, again, x),
		"outside of limit": orderly(hauberk.ServerSide, x, record, recoverer) - 2,
		"inside of faults": orderly(hauberk.ServerSide, faults, x) - 1,
	} {
		if n != 0 {
			t.Errorf("%s: %d findings too many", name, n)
		}
	}
}
