package loadsim

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
	"github.com/hauberk-rpc/hauberk/internal/leasemodel"
)

// Shared is nodes that share the quota of one key in a store, as ratelimitredis does.
type Shared struct {
	Nodes int
	// Rate is how many calls each node gets per second, at random times.
	Rate  float64
	Limit lease.Config
	// Delay is the longest way to the store, and back.
	Delay time.Duration
	// LoseEvery is how often a node is lost with what it holds, and another one takes its place; 0
	// means never.
	LoseEvery time.Duration
	Length    time.Duration
	Seed      uint64
}

// SharedSecond is what happened in one second.
type SharedSecond struct {
	Calls, Admitted int
	Trips           int // to the store and back
	// Fairness is Jain's index of the calls that the nodes admitted: 1 if they are equal, 1/Nodes if
	// one node has all.
	Fairness float64
}

// sharedState is a run of Shared.
type sharedState struct {
	Shared

	limit  *lease.Limit
	shape  *leasemodel.Limit
	quota  leasemodel.Quota
	nodes  []*sharer
	random *rand.Rand
	now    time.Duration
	events events
	number uint64

	seconds []SharedSecond
	perNode [][]float64 // admitted calls in each second
}

// sharer is one node.
type sharer struct {
	index   int
	key     lease.Key
	waiting int // calls that wait for the answer of the store
	lost    bool
}

// sharedEpoch is the clock of the store at the start. It is a whole multiple of a second.
const sharedEpoch = 1_700_000_000 * time.Second

// Run simulates the nodes.
func (w Shared) Run() []SharedSecond {
	n := int(w.Length / time.Second)
	s := &sharedState{
		Shared: w, limit: lease.NewLimit(w.Limit), random: rand.New(rand.NewPCG(w.Seed, 1)), now: sharedEpoch,
		seconds: make([]SharedSecond, n), perNode: make([][]float64, n),
	}
	s.shape = &leasemodel.Limit{
		Permits: w.Limit.Permits, Per: w.Limit.Per, Burst: w.Limit.Burst, Kind: w.Limit.Kind,
		Room: s.limit.Room(), Grains: 1024,
	}
	for i := range s.perNode {
		s.perNode[i] = make([]float64, w.Nodes)
	}
	for i := range w.Nodes {
		s.nodes = append(s.nodes, &sharer{index: i})
		s.arrive(i)
	}
	if w.LoseEvery > 0 {
		s.after(w.LoseEvery, s.lose)
	}
	for len(s.events) > 0 && s.events[0].at < sharedEpoch+w.Length {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		e.do()
	}
	for i := range s.seconds {
		s.seconds[i].Fairness = jain(s.perNode[i])
	}
	return s.seconds
}

// jain returns the fairness index of R. Jain, D. Chiu and W. Hawe, DEC-TR-301, 1984.
func jain(shares []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (float64(len(shares)) * squares)
}

func (s *sharedState) after(d time.Duration, do func()) {
	s.number++
	heap.Push(&s.events, event{s.now + d, s.number, do})
}

// second returns the number of the current second, which is the last one after the end.
func (s *sharedState) second() int {
	return min(int((s.now-sharedEpoch)/time.Second), len(s.seconds)-1)
}

// way returns how long a message takes.
func (s *sharedState) way() time.Duration { return 1 + time.Duration(s.random.Int64N(int64(s.Delay))) }

// arrive makes the calls of a place, on the node that is there.
func (s *sharedState) arrive(i int) {
	s.after(time.Duration(s.random.ExpFloat64()/s.Rate*float64(time.Second)), func() {
		s.arrive(i)
		s.seconds[s.second()].Calls++
		s.call(s.nodes[i], false)
	})
}

// lose replaces a node.
func (s *sharedState) lose() {
	i := s.random.IntN(s.Nodes)
	s.nodes[i].lost = true
	s.nodes[i] = &sharer{index: i}
	s.after(s.LoseEvery, s.lose)
}

// call decides a call on a node, or asks the store.
func (s *sharedState) call(x *sharer, repeated bool) {
	if x.lost {
		return
	}
	d, verdict := x.key.Take(s.limit, s.now, 1, repeated)
	if verdict != lease.Unknown {
		s.decide(x, d.OK)
		return
	}
	ask, flight := x.key.Begin(s.limit, s.now, 1)
	if flight != nil {
		x.waiting++
		return
	}
	s.ask(ask, func(answer lease.Answer) {
		if x.lost {
			return
		}
		d, lapses := x.key.Land(s.limit, s.now, &ask, &answer, true)
		s.decide(x, d.OK)
		s.lapse(x, lapses)
		waiting := x.waiting
		x.waiting = 0
		for range waiting {
			s.call(x, true)
		}
	})
}

func (s *sharedState) decide(x *sharer, ok bool) {
	if ok {
		s.seconds[s.second()].Admitted++
		s.perNode[s.second()][x.index]++
	}
}

// ask sends a request to the store, and its answer to land.
func (s *sharedState) ask(a lease.Ask, land func(lease.Answer)) {
	s.seconds[s.second()].Trips++
	s.after(s.way(), func() {
		answer := s.quota.Do(s.shape, s.now.Truncate(time.Microsecond), a)
		s.after(s.way(), func() { land(answer) })
	})
}

// lapse gives back what is left of a lease at its end.
func (s *sharedState) lapse(x *sharer, at time.Duration) {
	if at == 0 {
		return
	}
	s.after(max(at-s.now, 0), func() {
		if x.lost {
			return
		}
		back, id, again := x.key.Lapse(s.limit, s.now, false)
		if back > 0 {
			s.ask(lease.Ask{Back: back, ID: id}, func(lease.Answer) {})
		}
		s.lapse(x, again)
	})
}
