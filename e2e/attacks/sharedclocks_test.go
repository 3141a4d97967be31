package attacks_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// strayClocks returns the clocks of nodes that differ by a minute, and of one that jumps by up to a minute.
func strayClocks(node int) ratelimit.Option {
	var readings atomic.Int64
	return ratelimit.WithClock(func() time.Time {
		now := time.Now().Round(0)
		switch node {
		case 0:
			return now.Add(-time.Minute)
		case 1:
			return now
		case 2:
			return now.Add(time.Minute)
		default:
			return now.Add(time.Duration(readings.Add(1)*7%120-60) * time.Second)
		}
	})
}

// TestL10ClocksOfNodes floods nodes whose clocks differ by a minute: the clock of the server counts. Without the
// server each node admits its part by its own clock.
func TestL10ClocksOfNodes(t *testing.T) {
	const nodes, limit, per = 4, 40, 1000 * time.Hour
	for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		t.Run(a.String(), func(t *testing.T) {
			s := redistest.Start(t)
			config := byTenant(limit, per, limit)
			config.Algorithm, config.Shared.Nodes = a, nodes
			f := serveFleet(t, nodes, s.Addr, config, strayClocks)
			for _, key := range []string{"first", "second"} {
				counts := f.flood(t.Context(), 2, func(int) string { return key }, untilCalls(300))
				limitedOnly(t, counts)
				if n := f.executed(); n != limit || counts[codes.OK] != limit {
					t.Errorf("%s key: %d calls of %d, want %d", key, n, counts, limit)
				}
			}
			if n := f.failures(); n > 0 {
				t.Errorf("%d failures of a server that answers", n)
			}
			s.Kill()
			counts := f.flood(t.Context(), 2, func(int) string { return "third" }, untilCalls(300))
			limitedOnly(t, counts)
			if n := f.executed(); n != limit {
				t.Errorf("without the server: %d calls of %d, want %d", n, counts, limit)
			}
		})
	}
}

// jump makes all times in a server later by a number of microseconds, as if its clock was set back by as much:
// redis-server does not start under libfaketime, and its script compares only times that it has kept.
const jump = `
for _, key in ipairs(redis.call('KEYS', 'hauberk:*')) do
  if redis.call('TYPE', key).ok == 'hash' then
    redis.call('HINCRBY', key, 'shift', ARGV[1])
  else
    local first, second, third = string.match(redis.call('GET', key), '^(%d+) (%d+) ?(%d*)$')
    local later = function(n) return string.format('%.0f', n + ARGV[1]) end
    local state = later(first) .. ' ' .. second
    if third ~= '' then state = first .. ' ' .. later(second) .. ' ' .. later(third) end
    redis.call('SET', key, state, 'KEEPTTL')
  end -- of a string
end -- of all keys
return redis.call('DBSIZE')`

// TestL10ClockOfTheServer sets the clock of a server back and forward by a period, of which no one knows: no caller
// waits longer than a period and 10 s, or gets more than a burst.
func TestL10ClockOfTheServer(t *testing.T) {
	const limit, per = 10, 1000 * time.Hour
	for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		t.Run(a.String(), func(t *testing.T) {
			s := redistest.Start(t)
			take := func(permits int) ratelimit.Decision {
				t.Helper()
				store := ratelimitredis.New(ratelimitredis.Config{Addresses: []string{s.Addr}, Name: "attacks"})
				defer func() { _ = store.Close() }()
				q, err := store.Open([]ratelimit.Limit{{Name: "tenant", Permits: limit, Per: per, Burst: limit, Algorithm: a}})
				if err != nil {
					t.Fatal(err)
				}
				answer := make([]ratelimit.Decision, 1)
				if err := q.Take(t.Context(), patience.Timeout, []ratelimit.Demand{{Key: []byte("a"), Permits: permits}}, answer); err != nil {
					t.Fatal(err)
				}
				return answer[0]
			}
			set := func(by time.Duration) {
				t.Helper()
				if n := s.Do("EVAL", jump, "0", strconv.FormatInt(-by.Microseconds(), 10)); n != "1" {
					t.Fatalf("%s keys in the server, want 1", n)
				}
			}
			if d := take(limit); !d.OK {
				t.Fatalf("%+v of a whole quota", d)
			}
			for _, back := range []time.Duration{per, 10 * per} {
				set(-back)
				if d := take(1); d.OK || d.RetryAfter > per+10*time.Second {
					t.Errorf("set back by %v: %+v", back, d)
				}
			}
			set(per + 10*time.Second)
			if d := take(limit); !d.OK {
				t.Errorf("rejected after a period and 10 s: %+v", d)
			}
			set(100 * per)
			if d := take(limit); !d.OK {
				t.Errorf("set forward: %+v", d)
			}
			if d := take(1); d.OK {
				t.Errorf("more than a burst: %+v", d)
			}
		})
	}
}
