package ratelimitredis_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// BenchmarkTake decides with a real server: round trips for each decision, with leases and without, on one
// key and on many, below the limit and above it.
func BenchmarkTake(b *testing.B) {
	s := redistest.Start(b)
	for _, c := range []struct {
		name     string
		permits  int
		keys     int
		noLeases bool
	}{
		{"hot", 1 << 30, 1, false},
		{"hot/without leases", 1 << 30, 1, true},
		{"drained", 50_000, 1, false},
		{"drained/without leases", 1000, 1, true},
		{"keys=1000", 1_000_000, 1000, false},
		{"keys=1000/without leases", 1_000_000, 1000, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			config := ratelimitredis.Config{Addresses: []string{s.Addr}, NoLeases: c.noLeases, Name: c.name}
			q, store := open(b, config, limitOf(ratelimit.GCRA, c.permits, time.Second))
			take(b, q, demand("0", 1))
			var next atomic.Int64
			b.ReportAllocs()
			before := store.RoundTrips()
			b.ResetTimer()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				demands, decisions := []ratelimit.Demand{{Permits: 1}}, make([]ratelimit.Decision, 1)
				for pb.Next() {
					demands[0].Key = strconv.AppendInt(demands[0].Key[:0], next.Add(1)%int64(c.keys), 10)
					if err := q.Take(context.Background(), patient, demands, decisions); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(store.RoundTrips()-before)/float64(b.N), "trips/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}
