package hauberk

import (
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// attachments is what a chain is attached to, and the chain that its calls run. Each Chain has its own one, whose chain
// never changes. A [Live] has one for all its chains.
type attachments struct {
	what    string                // "Chain" or "Live", for panics
	current atomic.Pointer[Chain] // whose attachments are these

	wraps, intercepts atomic.Bool // on a client: ClientConn was called, or the interceptors were made
	registered        sync.Map    // full names of methods, and registeredServices, of servers

	changing  sync.Mutex // held while current changes, and while something is attached or begins to serve
	attached  [2]bool    // by side; guarded by changing
	uncounted bool       // something is attached without a stats handler; guarded by changing

	mu     sync.Mutex // guards what follows
	drains []weak.Pointer[drain]
	slots  []weak.Pointer[slot]
}

func newAttachments(what string) *attachments { return &attachments{what: what} }

// attach checks that the chain can run on a side. It panics if it cannot, as grpc-go does when its options contradict
// each other.
func (a *attachments) attach(what string, side Side) {
	a.changing.Lock()
	defer a.changing.Unlock()
	c := a.current.Load()
	if wrong := c.wrongSide(side); wrong != "" {
		panic("hauberk: " + what + ": " + wrong)
	}
	a.attached[side] = true
	c.warned.Do(c.warn)
}

// countsBytes reports whether what is being attached has to count bytes.
func (a *attachments) countsBytes() bool {
	a.changing.Lock()
	defer a.changing.Unlock()
	counts := a.current.Load().countBytes
	a.uncounted = a.uncounted || !counts
	return counts
}

// slot is a method of a server, with its route in the current chain.
type slot struct {
	methodName

	at    *attachments
	drain *drain                // of a Server; nil without one
	route atomic.Pointer[route] // nil, or of the current chain or one before
}

// newSlot returns the slot of a method that grpc-go dispatches, with any name.
func (a *attachments) newSlot(d *drain, of methodName) *slot {
	s := &slot{methodName: of, at: a, drain: d}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slots = append(alive(a.slots), weak.Make(s))
	return s
}

// now returns the route in the current chain.
func (s *slot) now() *route {
	c := s.at.current.Load()
	if r := s.route.Load(); r != nil && r.plan.chain == c {
		return r
	}
	return s.renew(c)
}

// renew makes the route in a chain. It keeps it only if that chain is still the current one, so that nothing but its
// calls keeps a chain that was replaced.
func (s *slot) renew(c *Chain) *route {
	m := bestMethod(s.full, s.kind)
	m.known, m.unguarded, m.forwarded = true, c.unguarded(m), s.forwarded
	if s.desc != nil {
		m.describe.Do(func() { m.desc = s.desc })
	}
	s.drain.track(m)
	r := &route{m, c.planFor(m)}
	s.route.Store(r)
	if s.at.current.Load() != c { // forget may have run before Store
		s.route.CompareAndSwap(r, nil)
	}
	return r
}

// forget removes the routes of the chain that was replaced.
func (a *attachments) forget() {
	a.mu.Lock()
	a.slots = alive(a.slots)
	slots := slices.Clone(a.slots)
	a.mu.Unlock()
	for _, p := range slots {
		if s := p.Value(); s != nil {
			s.route.Store(nil)
		}
	}
}

// alive returns the pointers to what is still in use.
func alive[T any](all []weak.Pointer[T]) []weak.Pointer[T] {
	return slices.DeleteFunc(all, func(p weak.Pointer[T]) bool { return p.Value() == nil })
}

// keepDrain keeps the calls of a server, as long as the server is used.
func (a *attachments) keepDrain(d *drain) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drains = append(alive(a.drains), weak.Make(d))
}

// servers returns the servers that are still in use.
func (a *attachments) servers() (all []*Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.drains {
		if d := p.Value(); d != nil {
			all = append(all, d.server)
		}
	}
	return all
}
