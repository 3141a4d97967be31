package loadsim

import (
	"math/rand/v2"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gradient"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
)

// The scenario of a latency step.
const (
	StepWorkers = 50
	StepService = 20 * time.Millisecond // before and after the step
	StepUp      = 30 * time.Second
	StepDown    = 90 * time.Second
	StepLength  = 150 * time.Second
	StepFactor  = 10
	StepSlow    = 100 * StepService
)

// LatencyStep is an overloaded server with an adaptive limit, whose service becomes ten times
// slower at StepUp and as fast as before at StepDown. slow is the share of calls that take
// StepSlow, a hundred times as long as others before the step, such as 0.05.
func LatencyStep(slow float64, seed uint64) World {
	capacity := StepWorkers / StepService.Seconds() // calls per second
	return World{
		Workers: StepWorkers,
		Service: func(now time.Duration, random *rand.Rand) time.Duration {
			mean := float64(StepService)
			if now >= StepUp && now < StepDown {
				mean *= StepFactor
			}
			if random.Float64() < slow {
				mean = float64(StepSlow)
			}
			return time.Duration(mean * (0.5 + random.Float64()))
		},
		Limit:    inflight.Config{Limit: gradient.DefaultInitial},
		Adaptive: &gradient.Config{},
		Callers:  []Caller{{Name: "all", Rate: 1.3 * capacity}},
		Length:   StepLength,
		Seed:     seed,
	}
}

// The scenario of a noisy neighbour.
const (
	NeighbourLimit   = 40
	NeighbourService = 50 * time.Millisecond
	NeighbourLength  = 60 * time.Second
)

// Neighbours is a server with a fixed limit. The caller "loud" asks for 20 times its share, the caller
// "quiet" for half of its share, at even times if even is set. waiting is the size of the queue.
func Neighbours(waiting int, even bool, seed uint64) World {
	share := NeighbourLimit / 2 / NeighbourService.Seconds() // calls per second
	return World{
		Workers: NeighbourLimit,
		Service: func(_ time.Duration, random *rand.Rand) time.Duration {
			return time.Duration(float64(NeighbourService) * (0.5 + random.Float64()))
		},
		Limit:   inflight.Config{Limit: NeighbourLimit, MaxWaiting: waiting, MaxWait: time.Second},
		Callers: []Caller{{Name: "loud", Rate: 20 * share}, {Name: "quiet", Rate: share / 2, Even: even}},
		Length:  NeighbourLength,
		Seed:    seed,
	}
}

// Throughput returns the mean number of calls served per second, from one second until another.
func Throughput(seconds []Second, from, until time.Duration) float64 {
	served := 0
	for _, s := range seconds[from/time.Second : until/time.Second] {
		served += s.Served
	}
	return float64(served) / (until - from).Seconds()
}

// Converged returns how long after a time the throughput of five seconds reaches want for
// the first time, or false if it never does.
func Converged(seconds []Second, after time.Duration, want float64) (time.Duration, bool) {
	const span = 5 * time.Second
	for at := after; at+span <= time.Duration(len(seconds))*time.Second; at += time.Second {
		if Throughput(seconds, at, at+span) >= want {
			return at - after, true
		}
	}
	return 0, false
}

// Least returns the least limit between two times.
func Least(seconds []Second, from, until time.Duration) int {
	least := seconds[from/time.Second].Least
	for _, s := range seconds[from/time.Second : until/time.Second] {
		least = min(least, s.Least)
	}
	return least
}

// Total returns what became of the calls of a caller.
func Total(seconds []Second, caller int) (sum Counts) {
	for _, s := range seconds {
		c := s.PerCaller[caller]
		sum.Made += c.Made
		sum.Served += c.Served
		sum.Rejected += c.Rejected
		sum.Expired += c.Expired
	}
	return sum
}

// SharedLimit is the limit of ManyNodes, in calls per second.
const SharedLimit = 100_000

// ManyNodes is 1,000 nodes that share a limit through one store, and get factor times as many calls as it
// admits. A node is lost in each second.
func ManyNodes(factor float64, seed uint64) Shared {
	const nodes = 1000
	return Shared{
		Nodes: nodes, Rate: factor * SharedLimit / nodes,
		Limit: lease.Config{Permits: SharedLimit, Per: time.Second, Burst: SharedLimit / 10},
		Delay: 200 * time.Microsecond, LoseEvery: time.Second, Length: 5 * time.Second, Seed: seed,
	}
}
