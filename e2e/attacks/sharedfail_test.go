package attacks_test

import (
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// outage is a way in which a server stops to answer, and comes back.
type outage struct {
	name     string
	begin    func(s *redistest.Server)
	end      func(s *redistest.Server)
	lostData bool
}

var (
	killed  = outage{"killed", (*redistest.Server).Kill, (*redistest.Server).Restart, true}
	stopped = outage{"stopped", (*redistest.Server).Pause, (*redistest.Server).Resume, false}
	paused  = outage{"CLIENT PAUSE", func(s *redistest.Server) { s.Do("CLIENT", "PAUSE", "600000", "ALL") }, func(s *redistest.Server) {
		s.Kill() // it would not read CLIENT UNPAUSE
		s.Restart()
	}, true}
)

// endure takes the server of four nodes away under load, in each mode. The mode holds from the first call on, the
// circuit then spares the server, and goroutines stay bounded. When the server is back, it counts again.
func endure(t *testing.T, o outage) {
	for _, mode := range []ratelimit.FailureMode{ratelimit.FailLocal, ratelimit.FailOpen, ratelimit.FailClosed} {
		t.Run(fmt.Sprintf("%s/%s", o.name, mode), func(t *testing.T) {
			const nodes, limit = 4, 40
			s := redistest.Start(t)
			config := byTenant(limit, time.Hour, limit)
			config.Shared = ratelimit.Shared{Fail: mode, Nodes: nodes, RetryStore: 100 * time.Millisecond}
			f := serveFleet(t, nodes, s.Addr, config)
			for i := range nodes {
				redistest.Eventually(t, "the node has its store", func() bool {
					failures, failing := f.limits[i].StoreFailures()
					return f.call(t.Context(), i, fmt.Sprint("warm", failures)) == nil && !failing
				})
			}
			f.executed()
			before := runtime.NumGoroutine()
			load := f.canary(t, func(i int) string { return "load-" + strconv.Itoa(i%100) })
			o.begin(s)
			first := make([]error, nodes)
			for i := range nodes {
				first[i] = f.call(t.Context(), i, "new-"+strconv.Itoa(i))
			}
			// Enough calls for a circuit that opens, each with a key that no node knows.
			var calls atomic.Int64
			counts := f.flood(t.Context(), 2, func(int) string { return fmt.Sprintf("later-%d", calls.Add(1)) },
				func() bool { return calls.Load() > 400 })
			want := codes.OK
			if mode == ratelimit.FailClosed {
				want = codes.Unavailable
			}
			for i, err := range first {
				if status.Code(err) != want || want != codes.OK && hauberk.Reason(err) != ratelimit.ReasonUnavailable {
					t.Errorf("the first call of node %d: %v, want %s", i, err, want)
				}
			}
			if len(counts) != 1 || counts[want] == 0 {
				t.Errorf("%v, want only %s", counts, want)
			}
			local := f.flood(t.Context(), 1, oneKey, untilCalls(200))
			switch mode {
			case ratelimit.FailLocal: // each node admits its part
				if local[codes.OK] != limit || len(local) != 2 {
					t.Errorf("%v with a limit of %d", local, limit)
				}
			case ratelimit.FailOpen:
				if local[codes.OK] < 200 || len(local) != 1 {
					t.Errorf("%v, want only OK", local)
				}
			default:
				if local[codes.OK] > 0 || len(local) != 1 {
					t.Errorf("%v, want no OK", local)
				}
			}
			// Each node has three failures in a row, those of calls at the same time, and probes.
			for i, x := range f.limits {
				if failures, _ := x.StoreFailures(); failures == 0 || failures > 100 {
					t.Errorf("node %d asked a server that does not answer %d times", i, failures)
				}
			}
			if after := runtime.NumGoroutine(); after > before+200 {
				t.Errorf("%d goroutines, and %d before", after, before)
			}
			load()
			o.end(s)
			f.recover(t, s, limit)
		})
	}
}

// untilCalls returns a stop for flood after about as many calls.
func untilCalls(n int64) func() bool {
	var calls atomic.Int64
	return func() bool { return calls.Add(1) > n+4 }
}

// recover waits until all nodes use the server again, and wants an exact limit from then on.
func (f *fleet) recover(t *testing.T, s *redistest.Server, limit int) {
	t.Helper()
	for i := range f.nodes {
		redistest.Eventually(t, "the node uses the server again", func() bool {
			_ = f.call(t.Context(), i, fmt.Sprint("back-", time.Now().UnixNano()))
			_, failing := f.limits[i].StoreFailures()
			return !failing && s.Do("DBSIZE") != "0"
		})
	}
	// A busy machine can be late once more: then another key is counted.
	for i := range 20 {
		f.executed()
		failed := f.failures()
		counts := f.flood(t.Context(), 2, func(int) string { return fmt.Sprint("after-", i) }, untilCalls(400))
		if f.failures() != failed {
			continue
		}
		if n := f.executed(); n != counts[codes.OK] || n != limit {
			t.Errorf("after recovery %v with a limit of %d", counts, limit)
		}
		return
	}
	t.Error("the server is back, and is late again and again")
}

// failures returns how often the stores of all nodes have failed.
func (f *fleet) failures() (sum uint64) {
	for _, x := range f.limits {
		n, _ := x.StoreFailures()
		sum += n
	}
	return sum
}

// TestL04RedisKilled kills the server under load.
func TestL04RedisKilled(t *testing.T) { endure(t, killed) }

// TestL05RedisStopped stops the server with SIGSTOP and with CLIENT PAUSE under load.
func TestL05RedisStopped(t *testing.T) {
	endure(t, stopped)
	endure(t, paused)
}
