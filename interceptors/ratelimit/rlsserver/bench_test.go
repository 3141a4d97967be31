package rlsserver_test

import (
	"context"
	"math"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// BenchmarkShouldRateLimit is what a decision costs, without its way over the network.
func BenchmarkShouldRateLimit(b *testing.B) {
	generous := func(l *rlsserver.Limit) { l.Permits, l.Per = math.MaxInt32, time.Second }
	s, err := rlsserver.New(shop(with(by("user", "", 1), generous), with(by("method", "", 1), generous), by("mean", "", 1)))
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	for _, test := range []struct {
		name        string
		descriptors int
	}{{"1 descriptor", 1}, {"2 descriptors", 2}} {
		b.Run(test.name, func(b *testing.B) {
			all := []*ratelimitv3.RateLimitDescriptor{of("user", "alice"), of("method", "list")}
			req := request(all[:test.descriptors]...)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = s.ShouldRateLimit(ctx, req)
				}
			})
		})
	}
}
