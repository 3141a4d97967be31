package hauberk

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Chain is a list of interceptors in their order, outermost first, checked and
// compiled. It never changes and is safe for concurrent use. The zero value is
// not usable: make chains with [New] or [Must].
type Chain struct {
	definition

	at     *attachments // its own, or those of a Live
	origin *Chain       // that was given to a Live; nil for a chain that New made

	mu     sync.Mutex
	plans  map[string]*plan       // by the set of interceptors that apply
	routes atomic.Pointer[routes] // of a client; replaced, never changed
	target atomic.Pointer[target] // that was asked for last

	warned sync.Once // of the warnings of its interceptors
}

// definition is what Config.New makes of its arguments. It never changes.
type definition struct {
	entries      []*entry
	public       pattern.Set
	policy       map[string]*MethodPolicy // of Config.Policy, by full name; nil without one
	domain       string
	exposeErrors bool
	countBytes   bool
	drain        Drain
	trusted      []netip.Prefix
	trustsUnix   bool
}

// bind returns a chain with the same interceptors and settings for other attachments.
func (c *Chain) bind(a *attachments) *Chain {
	return &Chain{definition: c.definition, at: a, origin: c, plans: make(map[string]*plan)}
}

// interceptor is one interceptor at its place in a chain.
type entry struct {
	interceptor Interceptor
	instance    Interceptor // as New was given it; nil if it is no pointer
	measured    Measured    // the interceptor, without what is around it; nil if it does not measure itself

	at         string // the place in the arguments of New, for errors
	decl       Declaration
	scopes     []scope
	conditions []*condition // all must hold; asked in this order
	shadow     bool
}

// title is the name of the interceptor in texts about the chain.
func (l *entry) title() string {
	if l.decl.Detail == "" {
		return l.decl.Name
	}
	return l.decl.Name + "(" + l.decl.Detail + ")"
}

// appliesTo reports whether the interceptor runs for a method. One that decides runs for
// every name that no pattern can match.
func (l *entry) appliesTo(m *Method) bool {
	if l.deniesMalformed(m) {
		return true
	}
	for _, s := range l.scopes {
		if !s.matches(m) {
			return false
		}
	}
	return true
}

// deniesMalformed reports whether the interceptor runs for a method because its name is not
// well-formed, in spite of its scopes: it can only reject the call.
func (l *entry) deniesMalformed(m *Method) bool {
	return l.decl.Decides && len(l.scopes) > 0 && !pattern.WellFormed(m.service, m.name)
}

// New makes a chain of interceptors, outermost first. [Config.New] makes one with
// settings. The error lists everything that is wrong:
//
//   - nil interceptors, and bad patterns;
//   - what an interceptor reports about its own configuration ([Declaration.Err]);
//   - an interceptor in [Shadow] that does not decide;
//   - one instance that would run twice for a call, and two interceptors of a phase that
//     a call needs once: request id, recovery, authn;
//   - if there is nothing else: state that is read before an outer interceptor writes it.
//
// A chain without interceptors is valid and does nothing.
func New(interceptors ...Interceptor) (*Chain, error) {
	return Config{}.New(interceptors...)
}

// Must is for chains made at start-up: Must(New(…)) panics with New's error.
func Must(chain *Chain, err error) *Chain {
	if err != nil {
		panic(err)
	}
	return chain
}

// planFor returns the plan for a method, the same for all methods that the same
// interceptors apply to.
func (c *Chain) planFor(m *Method) *plan {
	m.public, m.stated = c.isPublic(m), c.policy[m.full]
	var entries []*entry
	set := make([]byte, len(c.entries))
	for i, l := range c.entries {
		if l.appliesTo(m) {
			entries = append(entries, l)
			set[i] = 1
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.plans[string(set)]
	if p == nil {
		p = newPlan(c, entries)
		c.plans[string(set)] = p
	}
	return p
}

// route is a method with its plan.
type route struct {
	method *Method
	plan   *plan
}

// routes are routes by the kind and the full name of their methods. The lookup of a
// string is quicker than that of a key with both.
type routes [4]map[string]*route

func (r *routes) len() (n int) {
	for _, known := range r {
		n += len(known)
	}
	return n
}

// maxRoutes bounds the methods that a client's chain remembers. A proxy may call
// any number of them.
const maxRoutes = 1024

func (c *Chain) newRoute(full string, kind Kind, known bool) (*route, error) {
	m, err := newMethod(full, kind, known)
	if err != nil {
		return nil, err
	}
	return &route{m, c.planFor(m)}, nil
}

// clientRoute returns the route of an outgoing call. A name that gRPC cannot route
// has one too: the server answers it.
func (c *Chain) clientRoute(full string, kind Kind) *route {
	if known := c.routes.Load(); known != nil {
		if r := known[kind][full]; r != nil {
			return r
		}
	}
	r, err := c.newRoute(full, kind, true)
	if err != nil {
		return c.unknownRoute(full, kind)
	}
	c.remember(full, r)
	return r
}

// remember keeps a route, as long as there is room.
func (c *Chain) remember(full string, r *route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all routes
	if known := c.routes.Load(); known != nil {
		all = *known
	}
	if all.len() >= maxRoutes {
		return
	}
	ofKind := &all[r.method.kind]
	if *ofKind = maps.Clone(*ofKind); *ofKind == nil {
		*ofKind = make(map[string]*route)
	}
	(*ofKind)[full] = r
	c.routes.Store(&all)
}

// target is what a connection was made for. To write it costs an allocation.
type target struct {
	conn *grpc.ClientConn
	text string
}

func (c *Chain) targetOf(conn *grpc.ClientConn) string {
	if known := c.target.Load(); known != nil && known.conn == conn {
		return known.text
	}
	t := &target{conn, conn.CanonicalTarget()}
	c.target.Store(t)
	return t.text
}

// check panics on a nil chain: what New returns with an error must not be
// mistaken for a chain without interceptors.
func (c *Chain) check(what string) {
	if c == nil || c.plans == nil {
		panic("hauberk: " + what + " of a nil or zero Chain; make chains with hauberk.New, and look at its error")
	}
}

// attaching returns the attachments of a chain that is not nil, for a method.
func (c *Chain) attaching(what string) *attachments {
	c.check(what)
	return c.at
}

// wrongSide says which interceptor cannot run on a side. It returns "" if all can.
func (c *Chain) wrongSide(side Side) string {
	for _, l := range c.entries {
		if !l.decl.Sides.include(side) {
			return l.wrongSide(side)
		}
	}
	return ""
}

// warn logs the warnings of the interceptors.
func (c *Chain) warn() {
	for _, l := range c.entries {
		if l.decl.Warning != "" {
			//nolint:sloglint // at start, of no call
			slog.Warn("hauberk: "+l.decl.Warning, "interceptor", l.title())
		}
	}
}

// wrongSide says that an interceptor cannot run on a side.
func (l *entry) wrongSide(side Side) string {
	return fmt.Sprintf("%s (%s) works only on %ss, and this is the chain of a %s",
		l.title(), l.at, side.other(), side)
}
