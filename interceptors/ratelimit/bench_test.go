package ratelimit_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// generous is a limit that is never reached, mean one that the second call is
// beyond.
var (
	generous = ratelimit.Config{Limit: math.MaxInt32, Per: time.Second}
	mean     = ratelimit.Config{Limit: 1, Per: time.Hour}
)

func by(c ratelimit.Config, key callkey.Key) ratelimit.Config {
	c.By = key
	return c
}

func with(c ratelimit.Config, a ratelimit.Algorithm) ratelimit.Config {
	c.Algorithm = a
	return c
}

// admitting are the limiters that budgets hold for: no allocation, but for a copy
// of the values by metadata.
func admitting() []measured {
	perUser := by(generous, callkey.State(userKey))
	return []measured{
		{"together", ratelimit.New(by(generous, callkey.Global())), 0},
		{"method", ratelimit.New(by(generous, callkey.Method())), 0},
		{"state", ratelimit.New(perUser), 0},
		{"peer", ratelimit.New(by(generous, callkey.Peer())), 0},
		{"network", ratelimit.New(by(generous, callkey.Network(24, 64))), 0},
		{"metadata", ratelimit.New(by(generous, callkey.Metadata("tenant"))), 1},
		{"without its key", ratelimit.New(by(generous, callkey.Metadata("absent"))), 0},
		{"sliding window", ratelimit.New(with(perUser, ratelimit.SlidingWindow)), 0},
		{"fixed window", ratelimit.New(with(perUser, ratelimit.FixedWindow)), 0},
	}
}

type measured struct {
	name        string
	interceptor hauberk.Interceptor
	allow       float64 // allocations
}

// inside runs f within a call on a server, which has a peer, metadata and a user,
// and lets it pass through interceptors as often as it likes.
func inside(t testing.TB, f func(pass func(interceptor hauberk.Interceptor) error)) {
	t.Helper()
	reached := func(context.Context, *hauberk.Call) error { return nil }
	serve := server(t, login{}, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		f(func(interceptor hauberk.Interceptor) error { return interceptor.Intercept(ctx, call, reached) })
		return next(ctx, call)
	}))
	if err := serve(from(tcp("192.0.2.1"), "user", "alice", "tenant", "shop")); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkAdmit is what a limiter costs a call that passes. The budget is 60 ns,
// of which reading the clock, which is shown next to it, is the greater part.
func BenchmarkAdmit(b *testing.B) {
	for _, m := range append([]measured{{"clock alone", hauberk.Func(readClock), 0}}, admitting()...) {
		b.Run(m.name, func(b *testing.B) { benchmark(b, m.interceptor) })
	}
}

// BenchmarkReject is what a rejection costs, without its way over the wire.
func BenchmarkReject(b *testing.B) {
	serve, ctx := server(b, login{}, ratelimit.New(by(mean, callkey.State(userKey)))), from(nil, "user", "alice")
	b.ReportAllocs()
	for b.Loop() {
		_ = serve(ctx)
	}
}

func benchmark(b *testing.B, interceptor hauberk.Interceptor) {
	b.Helper()
	inside(b, func(pass func(hauberk.Interceptor) error) {
		b.ReportAllocs()
		for b.Loop() {
			if err := pass(interceptor); err != nil {
				b.Fatal(err)
			}
		}
	})
}

var start = time.Now()

func readClock(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if time.Since(start) < 0 {
		return nil
	}
	return next(ctx, call)
}

// BenchmarkParallel has all cores take from the quota of one key.
func BenchmarkParallel(b *testing.B) {
	for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		b.Run(a.String(), func(b *testing.B) {
			interceptor := ratelimit.New(with(by(generous, callkey.Method()), a))
			inside(b, func(pass func(hauberk.Interceptor) error) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						_ = pass(interceptor)
					}
				})
			})
		})
	}
}
