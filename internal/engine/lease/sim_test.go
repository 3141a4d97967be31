package lease_test

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
	"github.com/hauberk-rpc/hauberk/internal/leasemodel"
)

// sim is several nodes that share one key through a store, in simulated time.
type sim struct {
	limit  *lease.Limit
	store  leasemodel.Quota
	shape  *leasemodel.Limit
	nodes  []*node
	random *rand.Rand
	delay  time.Duration // longest way to the store, and back

	now    time.Duration
	events events
	seq    int

	trips, decisions, rejected int
	admitted, arrived          []admission
}

type admission struct {
	at time.Duration
	n  int
}

type node struct {
	key     lease.Key
	waiting []func()
	dead    bool
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e *events) Len() int { return len(*e) }
func (e *events) Less(i, j int) bool {
	a, b := (*e)[i], (*e)[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}
func (e *events) Swap(i, j int) { (*e)[i], (*e)[j] = (*e)[j], (*e)[i] }
func (e *events) Push(x any)    { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

const start = 1_700_000_000 * time.Second

func newSim(c lease.Config, nodes int, delay time.Duration, random *rand.Rand) *sim {
	s := &sim{limit: lease.NewLimit(c), random: random, delay: delay, now: start}
	s.shape = shape(c)
	for range nodes {
		s.nodes = append(s.nodes, new(node))
	}
	return s
}

func shape(c lease.Config) *leasemodel.Limit {
	return &leasemodel.Limit{
		Permits: c.Permits, Per: c.Per, Burst: c.Burst, Kind: c.Kind, Room: lease.NewLimit(c).Room(), Grains: 1024,
	}
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.events, event{s.now + d, s.seq, do})
}

// run executes the events up to a time.
func (s *sim) run(until time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= until {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		e.do()
	}
	s.now = until
}

// way returns how long a message takes.
func (s *sim) way() time.Duration { return 1 + time.Duration(s.random.Int64N(int64(s.delay))) }

// ask sends a request to the store.
func (s *sim) ask(a lease.Ask, land func(ans lease.Answer, decided time.Duration)) {
	s.trips++
	s.after(s.way(), func() {
		decided := s.now.Truncate(time.Microsecond)
		ans := s.store.Do(s.shape, decided, a)
		s.after(s.way(), func() { land(ans, decided) })
	})
}

// request decides a request for n permits at a node.
func (s *sim) request(x *node, n int, repeated bool) {
	if x.dead {
		return
	}
	if !repeated {
		s.arrived = append(s.arrived, admission{s.now, n})
	}
	d, v := x.key.Take(s.limit, s.now, n, repeated)
	if v != lease.Unknown {
		s.decide(d.OK, n, s.now)
		return
	}
	a, flight := x.key.Begin(s.limit, s.now, n)
	if flight != nil {
		x.waiting = append(x.waiting, func() { s.request(x, n, true) })
		return
	}
	s.ask(a, func(ans lease.Answer, decided time.Duration) {
		if x.dead {
			return
		}
		d, lapses := x.key.Land(s.limit, s.now, &a, &ans, true)
		s.decide(d.OK, n, decided)
		s.lapse(x, lapses)
		waiting := x.waiting
		x.waiting = nil
		for _, again := range waiting {
			again()
		}
	})
}

func (s *sim) decide(ok bool, n int, at time.Duration) {
	s.decisions++
	if ok {
		s.admitted = append(s.admitted, admission{at, n})
	} else {
		s.rejected++
	}
}

func (s *sim) lapse(x *node, at time.Duration) {
	if at == 0 {
		return
	}
	s.after(max(at-s.now, 0), func() {
		if x.dead {
			return
		}
		back, id, again := x.key.Lapse(s.limit, s.now, false)
		if back > 0 {
			s.ask(lease.Ask{Back: back, ID: id}, func(lease.Answer, time.Duration) {})
		}
		s.lapse(x, again)
	})
}

// demand makes a node ask for n permits at a rate a second, from now until a time.
func (s *sim) demand(x *node, rate float64, n int, until time.Duration) {
	step := time.Duration(float64(time.Second) * float64(n) / rate)
	var next func()
	next = func() {
		s.request(x, n, false)
		if s.now+step < until {
			s.after(step, next)
		}
	}
	s.after(time.Duration(s.random.Int64N(int64(step)+1)), next)
}
