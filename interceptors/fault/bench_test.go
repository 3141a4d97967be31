package fault_test

import (
	"context"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
)

// idle are interceptors whose call gets no fault. They must not allocate.
func idle() map[string]hauberk.Interceptor {
	return map[string]hauberk.Interceptor{
		"nothing":        hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) }),
		"another method": fault.New(one(fault.Rule{Methods: []string{"a.B/*"}, Abort: unavailable()})),
		"not drawn":      fault.New(one(fault.Rule{Percentage: 1e-12, Abort: unavailable()})),
	}
}

// inside runs f within a call on a server, and lets it pass through interceptors as often as it likes.
func inside(t testing.TB, f func(pass func(interceptor hauberk.Interceptor) error)) {
	t.Helper()
	reached := func(context.Context, *hauberk.Call) error { return nil }
	call := hauberktest.Direct{}.Server(chainOf(t,
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			f(func(interceptor hauberk.Interceptor) error { return interceptor.Intercept(ctx, call, reached) })
			return next(ctx, call)
		}),
	))
	if err := call(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAllocations(t *testing.T) {
	for name, x := range idle() {
		inside(t, func(pass func(hauberk.Interceptor) error) {
			if n := testing.AllocsPerRun(1000, func() { _ = pass(x) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		})
	}
}

func BenchmarkIdle(b *testing.B) {
	for name, x := range idle() {
		b.Run(name, func(b *testing.B) {
			inside(b, func(pass func(hauberk.Interceptor) error) {
				b.ReportAllocs()
				for b.Loop() {
					if err := pass(x); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
