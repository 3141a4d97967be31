// Package loadsim simulates limits of calls in flight and shared limits, event by event in simulated
// time, to show how the limits of internal/engine behave. The same seed gives the same run.
package loadsim

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gradient"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
)

// Caller is a source of calls.
type Caller struct {
	Name string
	// Rate is how many calls it makes per second, at random times.
	Rate float64
	// Even makes the times even.
	Even bool
	// Timeout is the deadline of each call; 0 means none.
	Timeout time.Duration
}

// World is a server, its limit and its callers.
type World struct {
	Workers int // calls that the server works on at a time; others wait inside it
	// Service draws the duration of the work of one call.
	Service func(now time.Duration, random *rand.Rand) time.Duration
	Limit   inflight.Config
	// Adaptive, if not nil, changes the limit.
	Adaptive *gradient.Config
	Callers  []Caller
	Length   time.Duration
	Seed     uint64
}

// Second is what happened in one second.
type Second struct {
	Limit     int // at its end
	Least     int // the least limit during the second
	Served    int
	Latency   time.Duration // mean, of calls that ended, since they were admitted
	PerCaller []Counts
}

// Counts are the calls of one caller.
type Counts struct{ Made, Served, Rejected, Expired int }

// Run simulates the world.
func (w World) Run() []Second {
	s := &state{
		World: w, random: rand.New(rand.NewPCG(w.Seed, 1)), limiter: inflight.New(w.Limit),
		seconds: make([]Second, w.Length/time.Second),
	}
	if w.Adaptive != nil {
		s.gradient = gradient.New(*w.Adaptive)
		s.limiter.SetLimit(0, s.gradient.Value())
	}
	for i := range s.seconds {
		s.seconds[i].PerCaller = make([]Counts, len(w.Callers))
		s.seconds[i].Least = 1 << 30
	}
	for i := range w.Callers {
		s.arrive(i)
	}
	for len(s.events) > 0 && s.events[0].at < w.Length {
		e := heap.Pop(&s.events).(event)
		s.note(e.at)
		s.now = e.at
		e.do()
		for len(s.woken) > 0 {
			wake := s.woken[0]
			s.woken = s.woken[1:]
			wake()
		}
	}
	s.note(w.Length)
	for i := range s.seconds {
		if n := s.seconds[i].Served; n > 0 {
			s.seconds[i].Latency /= time.Duration(n)
		}
	}
	return s.seconds
}

type state struct {
	World

	now      time.Duration
	events   events
	number   uint64
	random   *rand.Rand
	limiter  *inflight.Limiter
	gradient *gradient.Limit
	busy     int // workers
	queue    []*call
	woken    []func()
	seconds  []Second
}

type call struct {
	caller int
	slot   inflight.Slot
	due    time.Duration // its deadline, or 0
}

// note records the limit in all seconds from now until a time.
func (s *state) note(until time.Duration) {
	limit := s.limiter.Snapshot().Limit
	for i := s.now / time.Second; i <= until/time.Second && int(i) < len(s.seconds); i++ {
		s.seconds[i].Limit = limit
		s.seconds[i].Least = min(s.seconds[i].Least, limit)
	}
}

func (s *state) second() *Second { return &s.seconds[s.now/time.Second] }

func (s *state) counts(c *call) *Counts { return &s.second().PerCaller[c.caller] }

func (s *state) after(d time.Duration, do func()) {
	s.number++
	heap.Push(&s.events, event{s.now + d, s.number, do})
}

// arrive makes the calls of a caller.
func (s *state) arrive(caller int) {
	gaps := 1.0
	if !s.Callers[caller].Even {
		gaps = s.random.ExpFloat64()
	}
	s.after(time.Duration(gaps/s.Callers[caller].Rate*float64(time.Second)), func() {
		s.arrive(caller)
		s.ask(&call{caller: caller})
	})
}

func (s *state) ask(c *call) {
	s.counts(c).Made++
	r := inflight.Request{Tenant: s.Callers[c.caller].Name}
	if timeout := s.Callers[c.caller].Timeout; timeout > 0 {
		c.due = s.now + timeout
		r.Deadline, r.HasDeadline = c.due, true
	}
	if s.limiter.Try(s.now, &r, &c.slot) {
		s.admitted(c)
		return
	}
	if s.Limit.MaxWaiting == 0 {
		s.counts(c).Rejected++
		return
	}
	var k *inflight.Ticket
	k = s.limiter.Enqueue(s.now, &r, func() { s.woken = append(s.woken, func() { s.result(k, c) }) })
	if done, _ := k.Result(new(inflight.Slot)); done { // Try failed, so that it was rejected
		s.counts(c).Rejected++
		return
	}
	s.after(k.Until()-s.now, func() {
		if done, _ := k.Result(&c.slot); !done {
			k.Expire(s.now)
			s.result(k, c)
		}
	})
}

func (s *state) result(k *inflight.Ticket, c *call) {
	if _, err := k.Result(&c.slot); err != nil {
		s.counts(c).Rejected++
		return
	}
	s.admitted(c)
}

// admitted gives a call to the server.
func (s *state) admitted(c *call) {
	if s.busy < s.Workers {
		s.work(c)
		return
	}
	s.queue = append(s.queue, c)
}

func (s *state) work(c *call) {
	s.busy++
	s.after(s.Service(s.now, s.random), func() {
		s.busy--
		s.end(c)
		if len(s.queue) > 0 {
			next := s.queue[0]
			s.queue = s.queue[1:]
			s.work(next)
		}
	})
}

func (s *state) end(c *call) {
	began, running := c.slot.Started(), s.limiter.Running()
	second := s.second()
	second.Served++
	second.Latency += s.now - began
	s.counts(c).Served++
	if c.due > 0 && s.now > c.due {
		s.counts(c).Expired++
	}
	s.limiter.Release(s.now, &c.slot, true)
	if s.gradient == nil {
		return
	}
	if limit, changed := s.gradient.Record(began, s.now, running, gradient.Success); changed {
		s.limiter.SetLimit(s.now, limit)
	}
}

// event is something that happens at a time. Of several at one time the earliest made is first.
type event struct {
	at     time.Duration
	number uint64
	do     func()
}

type events []event

func (e *events) Len() int      { return len(*e) }
func (e *events) Swap(i, j int) { (*e)[i], (*e)[j] = (*e)[j], (*e)[i] }
func (e *events) Less(i, j int) bool {
	a, b := &(*e)[i], &(*e)[j]
	return a.at < b.at || a.at == b.at && a.number < b.number
}

// Push adds an event, for package heap.
func (e *events) Push(x any) { *e = append(*e, x.(event)) }

// Pop removes the last one, for package heap.
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
