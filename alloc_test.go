package hauberk_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// allocsOf returns how many allocations a call makes.
func allocsOf(t *testing.T, call func() error) float64 {
	t.Helper()
	return testing.AllocsPerRun(200, func() {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAllocations holds the budgets of a chain's own allocations: one for a unary
// call, for any number of idle interceptors, and eight for a client stream from its
// opening to its end.
func TestAllocations(t *testing.T) {
	calls := map[string]struct {
		start  func(attacher) func() error
		budget float64
	}{
		"server/unary": {unaryHandler, 1},
	}
	for _, kind := range allKinds {
		budget := 8.0
		if kind == hauberk.Unary {
			budget = 1
		}
		calls["client/"+kind.String()] = struct {
			start  func(attacher) func() error
			budget float64
		}{func(c attacher) func() error { return clientCall(c, kind) }, budget}
	}
	for name, c := range calls {
		bare := allocsOf(t, c.start(nil))
		for _, interceptors := range []int{0, 1, 8} {
			t.Run(fmt.Sprintf("%s/interceptors=%d", name, interceptors), func(t *testing.T) {
				got := allocsOf(t, c.start(idleChain(interceptors))) - bare
				t.Logf("%v allocations", got)
				if got > c.budget {
					t.Errorf("the chain makes %v allocations a call, want at most %v", got, c.budget)
				}
			})
		}
	}
}

// TestStreamAllocations holds the budgets of a client's stream: five allocations from
// its opening to its end with one interceptor, one more to clone a single request,
// and three for a message through five hooks in each direction.
func TestStreamAllocations(t *testing.T) {
	for _, kind := range streams {
		bare := allocsOf(t, clientCall(nil, kind))
		want := 5.0
		if !kind.ClientStreams() {
			want++
		}
		if got := allocsOf(t, clientCall(idleChain(1), kind)) - bare; got > want {
			t.Errorf("%s: a stream with one interceptor makes %v allocations, want at most %v", kind, got, want)
		}
	}
	for name, budget := range messageBudgets {
		message := messageRoundTrip(t, hauberk.Must(hauberk.New(messageChains[name]...)))
		if got := allocsOf(t, message); got > budget {
			t.Errorf("%s: a message each way makes %v allocations, want at most %v", name, got, budget)
		}
	}
}

// messageBudgets are how many allocations a message each way may make on an open
// stream behind messageChains: three through five hooks each way, and no more through
// fewer.
var messageBudgets = map[string]float64{"empty": 0, "1 hook": 3, "5 hooks": 3}

// TestStateAllocations: a pointer goes into a call's state without an allocation,
// other values take one, and reading takes none.
func TestStateAllocations(t *testing.T) {
	account, user := new(account), "alice"
	with := func(f func(call *hauberk.Call)) float64 {
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			f(call)
			return next(ctx, call)
		})
		return allocsOf(t, unaryHandler(hauberk.Must(hauberk.New(interceptor))))
	}
	none := with(func(*hauberk.Call) {})
	for name, c := range map[string]struct {
		f    func(call *hauberk.Call)
		want float64
	}{
		"a pointer": {func(call *hauberk.Call) { accountKey.Set(call, account) }, 0},
		"a string":  {func(call *hauberk.Call) { userKey.Set(call, user) }, 1},
		"read": {func(call *hauberk.Call) {
			userKey.Set(call, user)
			_, _ = userKey.Get(call)
			_, _ = accountKey.Get(call)
		}, 1},
	} {
		if got := with(c.f) - none; got != c.want {
			t.Errorf("%s: %v allocations, want %v", name, got, c.want)
		}
	}
}

// TestRejectionAllocations holds what a rejected unary call on a server costs beyond an accepted one: its
// status is made once, and the details are not copied.
func TestRejectionAllocations(t *testing.T) {
	rejection := hauberk.Reject(codes.Unauthenticated, "MISSING_TOKEN", "the call has no token")
	call := unaryHandler(hauberk.Must(hauberk.New(hauberk.Func(
		func(context.Context, *hauberk.Call, hauberk.Next) error { return rejection },
	))))
	rejected := testing.AllocsPerRun(200, func() {
		if status.Code(call()) != codes.Unauthenticated {
			t.Fatal("the call was not rejected")
		}
	})
	t.Logf("%v allocations", rejected)
	if accepted := allocsOf(t, unaryHandler(idleChain(1))); rejected > accepted+14 {
		t.Errorf("a rejected call makes %v allocations, an accepted one %v; want at most 14 more", rejected, accepted)
	}
}
