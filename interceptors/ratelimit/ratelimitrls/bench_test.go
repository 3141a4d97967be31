package ratelimitrls_test

import (
	"testing"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitrls"
)

// BenchmarkTake is what a decision costs with a server on this machine that answers at once.
func BenchmarkTake(b *testing.B) {
	q := open(b, echo(), ratelimitrls.Config{}, perMinute("user"))
	demands := []ratelimit.Demand{{Key: []byte("alice"), Permits: 1}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		decisions := make([]ratelimit.Decision, 1)
		for pb.Next() {
			if err := q.Take(b.Context(), long, demands, decisions); err != nil {
				b.Error(err)
			}
		}
	})
}
