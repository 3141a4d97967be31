package concurrency_test

import (
	"context"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

type measured struct {
	name        string
	interceptor hauberk.Interceptor
}

// admitting are limits that are never reached. A call that passes must allocate nothing.
func admitting() []measured {
	probe := concurrency.WithProbe(func() float64 { return 0 })
	return []measured{
		{"fixed", concurrency.New(concurrency.Config{Limit: 1000})},
		{"with a queue", concurrency.New(concurrency.Config{Limit: 1000, MaxWaiting: 100})},
		{"by method", concurrency.New(concurrency.Config{Limit: 1000, By: callkey.Method()})},
		{"by state", concurrency.New(concurrency.Config{Limit: 1000, By: callkey.State(userKey)})},
		{"tenants", concurrency.New(concurrency.Config{Limit: 1000, Tenant: callkey.State(userKey)})},
		{"adaptive", concurrency.New(concurrency.Config{Adaptive: &concurrency.Adaptive{}})},
		{"load", concurrency.New(concurrency.Config{Load: &concurrency.Load{Every: time.Hour}}, probe)},
	}
}

// inside runs f within a call on a server, and lets it pass through interceptors as often as it likes.
func inside(t testing.TB, f func(pass func(interceptor hauberk.Interceptor) error)) {
	t.Helper()
	reached := func(context.Context, *hauberk.Call) error { return nil }
	call := serve(t, nil, login{}, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		f(func(interceptor hauberk.Interceptor) error { return interceptor.Intercept(ctx, call, reached) })
		return next(ctx, call)
	}))
	if err := call(from("192.0.2.1", "user", "alice")); err != nil {
		t.Fatal(err)
	}
}

func TestAllocations(t *testing.T) {
	for _, m := range admitting() {
		inside(t, func(pass func(hauberk.Interceptor) error) {
			if got := testing.AllocsPerRun(1000, func() {
				if err := pass(m.interceptor); err != nil {
					t.Fatal(err)
				}
			}); got != 0 {
				t.Errorf("%s: %v allocations", m.name, got)
			}
		})
	}
}

func BenchmarkAdmit(b *testing.B) {
	for _, m := range admitting() {
		b.Run(m.name, func(b *testing.B) {
			inside(b, func(pass func(hauberk.Interceptor) error) {
				b.ReportAllocs()
				for b.Loop() {
					if err := pass(m.interceptor); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkParallel has all cores share one limit.
func BenchmarkParallel(b *testing.B) {
	for _, m := range admitting() {
		b.Run(m.name, func(b *testing.B) {
			inside(b, func(pass func(hauberk.Interceptor) error) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						_ = pass(m.interceptor)
					}
				})
			})
		})
	}
}

// BenchmarkReject is what a rejection costs, without the transport.
func BenchmarkReject(b *testing.B) {
	full := concurrency.New(concurrency.Config{Load: &concurrency.Load{}}, concurrency.WithProbe(func() float64 { return 1 }))
	call := serve(b, nil, full)
	b.ReportAllocs()
	for b.Loop() {
		_ = call(b.Context())
	}
}
