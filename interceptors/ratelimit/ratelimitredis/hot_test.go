package ratelimitredis_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// Four nodes flood a key with a limit of 50,000 a second: they admit at most 1 % more than the limit, and need a round
// trip for 100 decisions.
func TestHotKey(t *testing.T) {
	s := redistest.Start(t)
	const permits, nodes, each = 50_000, 4, 200_000
	limit := limitOf(ratelimit.GCRA, permits, time.Second)
	limit.Burst = permits / 10
	var admitted, trips atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for range nodes {
		q, store := open(t, at(s.Addr), limit)
		all.Go(func() {
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() {
					demands, decisions := []ratelimit.Demand{demand("hot", 1)}, make([]ratelimit.Decision, 1)
					for range each / 8 {
						if err := q.Take(context.Background(), patient, demands, decisions); err != nil {
							t.Error(err)
							return
						}
						if decisions[0].OK {
							admitted.Add(1)
						}
					}
				})
			}
			callers.Wait()
			trips.Add(int64(store.RoundTrips()))
		})
	}
	all.Wait()
	elapsed := time.Since(start)
	most := float64(permits)*elapsed.Seconds() + float64(limit.Burst) + permits/100
	t.Logf("%d decisions in %v, %d admitted (at most %.0f), %d round trips: 1 for %d", nodes*each, elapsed,
		admitted.Load(), most, trips.Load(), nodes*each/trips.Load())
	if float64(admitted.Load()) > most {
		t.Errorf("%d admitted, want at most %.0f", admitted.Load(), most)
	}
	if trips.Load()*100 > nodes*each {
		t.Errorf("%d round trips for %d decisions, want one for 100", trips.Load(), nodes*each)
	}
}

// Close gives back what is leased.
func TestCloseGivesBack(t *testing.T) {
	s := redistest.Start(t)
	limit := limitOf(ratelimit.FixedWindow, 10_000, 24*time.Hour)
	q, store := open(t, at(s.Addr), limit)
	const calls = 100
	for range calls {
		take(t, q, demand("alice", 1))
	}
	if store.RoundTrips() >= calls {
		t.Fatalf("%d round trips: there is no lease", store.RoundTrips())
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := try(q, "bob", patient); err == nil {
		t.Error("a closed store answers")
	}
	fresh, _ := open(t, at(s.Addr), limit)
	if d := take(t, fresh, demand("alice", 0)); d.Remaining != limit.Permits-calls {
		t.Errorf("%d remain, want %d", d.Remaining, limit.Permits-calls)
	}
}
