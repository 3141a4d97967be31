package lease_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
	"github.com/hauberk-rpc/hauberk/internal/leasemodel"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// excess returns by how many permits the fullest window exceeds what the limit admits in it.
func (s *sim) excess(c lease.Config) float64 {
	slices.SortFunc(s.admitted, func(a, b admission) int { return cmp.Compare(a.at, b.at) })
	switch c.Kind {
	case lease.Even:
		rate := float64(c.Permits) / float64(c.Per)
		sum, least, worst := 0.0, 0.0, 0.0
		for _, a := range s.admitted {
			base := rate * float64(a.at-start)
			least = min(least, sum-base)
			sum += float64(a.n)
			worst = max(worst, sum-base-least)
		}
		return worst - float64(c.Burst)
	case lease.Fixed:
		windows := make(map[time.Duration]int)
		worst := 0
		for _, a := range s.admitted {
			windows[a.at/c.Per] += a.n
			worst = max(worst, windows[a.at/c.Per])
		}
		return float64(worst - c.Permits)
	default:
		sum, from, worst := 0, 0, 0
		for _, a := range s.admitted {
			for a.at-s.admitted[from].at >= c.Per {
				sum -= s.admitted[from].n
				from++
			}
			sum += a.n
			worst = max(worst, sum)
		}
		return float64(worst - c.Permits)
	}
}

// between returns the permits that were admitted from a time until another.
func (s *sim) between(from, to time.Duration) int {
	sum := 0
	for _, a := range s.admitted {
		if a.at >= from && a.at < to {
			sum += a.n
		}
	}
	return sum
}

// least returns the permits that were admitted in the emptiest window of a length, in steps of a hundredth.
func (s *sim) least(length, from, to time.Duration) int {
	least := -1
	for at := from; at+length <= to; at += length / 100 {
		if n := s.between(at, at+length); least < 0 || n < least {
			least = n
		}
	}
	return least
}

func drawConfig(r *rapid.T) lease.Config {
	c := lease.Config{
		Permits: rapid.SampledFrom([]int{1, 50, 399, 400, 1000, 2000}).Draw(r, "permits"),
		Per:     rapid.SampledFrom([]time.Duration{50 * time.Millisecond, 100 * time.Millisecond, time.Second}).Draw(r, "per"),
		Kind:    lease.Kind(rapid.IntRange(0, 2).Draw(r, "kind")),
		NoLease: rapid.IntRange(0, 4).Draw(r, "leases") == 0,
	}
	c.Burst = c.Permits
	if c.Kind == lease.Even {
		c.Burst = rapid.SampledFrom([]int{1, c.Permits / 10, c.Permits, 3 * c.Permits}).Draw(r, "burst")
		c.Burst = max(c.Burst, 1)
	}
	return c
}

// TestNeverMore: in no history of any number of nodes is more admitted than the limit, and 1 % of it
// for GCRA. Nodes begin and stop to ask, ask for several permits, and die with what they hold.
func TestNeverMore(t *testing.T) {
	testseed.Check(t, func(r *rapid.T) {
		c := drawConfig(r)
		nodes := rapid.IntRange(1, 12).Draw(r, "nodes")
		delay := time.Duration(rapid.Int64Range(int64(10*time.Microsecond), int64(3*time.Millisecond)).Draw(r, "delay"))
		random := testseed.Rand(t, rapid.Uint64().Draw(r, "stream"))
		s := newSim(c, nodes, delay, random)
		for s.now < start+3*c.Per {
			length := time.Duration(rapid.Int64Range(1, int64(c.Per)).Draw(r, "phase"))
			for _, x := range s.nodes {
				if random.IntN(3) == 0 {
					continue
				}
				factor := []float64{0.01, 0.2, 1, 3}[random.IntN(4)]
				n := 1 + random.IntN(max(1, min(5, c.Burst/5)))
				s.demand(x, factor*float64(c.Permits)/c.Per.Seconds(), n, s.now+length)
			}
			if random.IntN(10) == 0 {
				x := random.IntN(nodes)
				s.nodes[x].dead = true
				s.nodes[x] = new(node)
			}
			s.run(s.now + length)
		}
		allowed := 0.0
		if c.Kind == lease.Even {
			allowed = float64(c.Permits)/100 + 1 // a permit
		} else if c.Kind == lease.Sliding && !c.NoLease {
			allowed = float64(c.Permits/400) * float64(nodes)
		}
		if e := s.excess(c); e > allowed+1e-6*float64(c.Permits) {
			r.Fatalf("%+v: %v permits above the limit, want at most %v", c, e, allowed)
		}
	})
}

// TestNeverLess: while more is asked for than the limit, by nodes that change, at least 99 % of the
// limit is admitted in each period, if permits return evenly. Sliding and fixed windows repeat the bursts of
// the demand: they admit at least 90 % of what an exact one admits at once.
func TestNeverLess(t *testing.T) {
	testseed.Check(t, func(r *rapid.T) {
		c := drawConfig(r)
		c.Per, c.Burst = time.Second, max(c.Burst, c.Permits/10, 1) // of a burst of 1, permits that no one asks for are lost
		nodes := rapid.IntRange(1, 8).Draw(r, "nodes")
		delay := time.Duration(rapid.Int64Range(int64(10*time.Microsecond), int64(time.Millisecond)).Draw(r, "delay"))
		random := testseed.Rand(t, rapid.Uint64().Draw(r, "stream"))
		s := newSim(c, nodes, delay, random)
		end := start + 3*c.Per
		for s.now < end {
			length := time.Duration(rapid.Int64Range(int64(c.Per/20), int64(2*c.Per)).Draw(r, "phase"))
			busy := 1 + random.IntN(nodes)
			rate := (1.5 + 3.5*random.Float64()) * max(float64(c.Permits), 20) / c.Per.Seconds() / float64(busy)
			for _, x := range random.Perm(nodes)[:busy] {
				s.demand(s.nodes[x], rate, 1, s.now+length)
			}
			s.run(s.now + length)
		}
		half := end - c.Per/2 // not at the edge of a window
		total, want := s.between(start, half), 0.9*float64(s.exact(half))-float64(nodes)
		if c.Kind != lease.Even || c.Permits < 400 {
			if float64(total) < want {
				r.Fatalf("%+v: %d permits, want %v", c, total, want)
			}
			return
		}
		want = 0.99 * float64(c.Permits)
		if least := s.least(c.Per, start+c.Per, end); float64(least) < want {
			r.Fatalf("%+v: %d permits in a period of demand, want %v", c, least, want)
		}
	})
}

// exact returns how many of the requests until a time a limiter admits that decides each at once.
func (s *sim) exact(until time.Duration) int {
	var q leasemodel.Quota
	sum := 0
	for _, a := range s.arrived {
		if a.at >= until {
			break
		}
		sum += q.Do(s.shape, a.at.Truncate(time.Microsecond), lease.Ask{Need: a.n}).Granted
	}
	return sum
}

// TestHotKey: four nodes that ask for 40,000 a second or more, below, at and above the limit.
func TestHotKey(t *testing.T) {
	for _, kind := range []lease.Kind{lease.Even, lease.Sliding, lease.Fixed} {
		for _, factor := range []float64{0.9, 1.2, 5} {
			t.Run(fmt.Sprintf("kind %d, %v times the limit", kind, factor), func(t *testing.T) {
				c := lease.Config{Permits: 50_000, Burst: 50_000, Per: time.Second, Kind: kind}
				s := newSim(c, 4, 200*time.Microsecond, testseed.Rand(t, 0))
				end := start + 3*time.Second
				for _, x := range s.nodes {
					s.demand(x, factor*float64(c.Permits)/4, 1, end)
				}
				s.run(end)
				least, excess := s.least(c.Per, start+c.Per, end), s.excess(c)
				t.Logf("%d decisions, %d round trips: 1 for %.0f; excess %.0f, least in a second %d",
					s.decisions, s.trips, float64(s.decisions)/float64(s.trips), excess, least)
				if s.trips*100 > s.decisions {
					t.Errorf("a round trip for %.0f decisions, want 100", float64(s.decisions)/float64(s.trips))
				}
				if want := 0.99 * float64(c.Permits) * min(factor, 1); float64(least) < want {
					t.Errorf("%d permits in a second, want %v", least, want)
				}
			})
		}
	}
}
