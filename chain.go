package hauberk

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
)

// Chain is a list of interceptors in their order, outermost first, checked and
// compiled. It never changes and is safe for concurrent use. The zero value is
// not usable: make chains with [New] or [Must].
type Chain struct {
	links        []*link
	public       []pattern
	domain       string
	exposeErrors bool
	trusted      []netip.Prefix

	whole *plan // of a chain whose links all apply to every method, else nil

	mu     sync.Mutex
	plans  map[string]*plan                    // by the set of links that apply
	routes atomic.Pointer[map[routeKey]*route] // of a client; replaced, never changed
}

// link is one interceptor at its place in a chain.
type link struct {
	interceptor Interceptor

	decl        Declaration
	scopes      []scope
	conditional bool
	shadow      bool
}

// scope says for which methods a link runs.
type scope struct {
	pattern pattern
	except  bool
}

func (s scope) matches(m *Method) bool { return s.pattern.matches(m) != s.except }

func (l *link) appliesTo(m *Method) bool {
	for _, s := range l.scopes {
		if !s.matches(m) {
			return false
		}
	}
	return true
}

// New makes a chain of interceptors, outermost first. All that is wrong with
// them is in the error: nil interceptors, bad patterns, what each interceptor
// says of its own configuration ([Declaration]), state that is read before any
// link has written it, links in [Shadow] that cannot be. A chain of no
// interceptors is fine and does nothing.
func New(interceptors ...Interceptor) (*Chain, error) {
	b := builder{chain: &Chain{plans: make(map[string]*plan)}}
	for i, x := range interceptors {
		b.at = i + 1
		b.add(x, link{})
	}
	if len(b.errs) == 0 {
		b.errs = b.chain.proveOrder()
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	b.chain.compile()
	return b.chain, nil
}

// Must is for chains made at start-up: Must(New(…)) panics with New's error.
func Must(chain *Chain, err error) *Chain {
	if err != nil {
		panic(err)
	}
	return chain
}

// builder collects the links of a chain and what is wrong with them.
type builder struct {
	chain *Chain
	at    int
	errs  []error
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("hauberk: interceptor %d: "+format, append([]any{b.at}, args...)...))
}

// add adds an interceptor that stands under what outer says.
func (b *builder) add(x Interceptor, outer link) {
	if isNil(x) {
		b.fail("is nil")
		return
	}
	switch x := x.(type) {
	case *group:
		b.addGroup(x, outer)
	case *setting:
		if err := x.set(b.chain); err != nil {
			b.fail("%w", err)
		}
	case *named:
		b.addNamed(x, outer)
	default:
		b.addLink(x, declarationOf(x), outer)
	}
}

func (b *builder) addNamed(x *named, outer link) {
	if isNil(x.Interceptor) {
		b.fail("%q is nil", x.name)
		return
	}
	d := declarationOf(x.Interceptor)
	d.Name = x.name
	b.addLink(x.Interceptor, d, outer)
}

func (b *builder) addLink(x Interceptor, d Declaration, outer link) {
	if d.Err != nil {
		b.fail("%s: %w", d.Name, d.Err)
	}
	if s, ok := x.(*Shadowed); ok {
		outer.shadow = true
		if isNil(s.inner) {
			b.fail("Shadow of nil")
			return
		}
	}
	if outer.interceptor != nil { // the wrapper of a When
		x = &conditional{when: outer.interceptor.(*condition), inner: x}
	}
	outer.interceptor, outer.decl = x, d
	b.chain.links = append(b.chain.links, &outer)
}

func (b *builder) addGroup(g *group, outer link) {
	if g.err != nil {
		b.errs = append(b.errs, fmt.Errorf("hauberk: interceptor %d: %w", b.at, g.err))
		return
	}
	if len(g.inner) == 0 {
		b.fail("%s has no interceptors", g.name)
	}
	if g.when != nil {
		if outer.conditional {
			outer.interceptor = outer.interceptor.(*condition).and(g.when)
		} else {
			outer.interceptor = newCondition(g.when)
		}
		outer.conditional = true
	} else {
		outer.scopes = append(outer.scopes[:len(outer.scopes):len(outer.scopes)], g.scope)
	}
	for _, x := range g.inner {
		b.add(x, outer)
	}
}

func isNil(x Interceptor) bool {
	if x == nil {
		return true
	}
	v := reflect.ValueOf(x)
	switch v.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan, reflect.Interface:
		return v.IsNil()
	default:
		return false
	}
}

// declarationOf returns what an interceptor says of itself, with a name.
func declarationOf(x Interceptor) Declaration {
	var d Declaration
	if declarer, ok := x.(Declarer); ok && !isNil(x) {
		d = declarer.Declare()
	}
	if d.Name == "" && x != nil {
		d.Name = typeName(x)
	}
	return d
}

// typeName is the package of an interceptor's type where it has one of its own,
// else the type.
func typeName(x Interceptor) string {
	t := reflect.TypeOf(x)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[Func]() {
		return "func"
	}
	base := path.Base(t.PkgPath())
	if base == "main" || base == "." || strings.HasSuffix(base, "_test") {
		return t.Name()
	}
	return base
}

// compile makes the plan of a chain that needs only one.
func (c *Chain) compile() {
	for _, l := range c.links {
		if len(l.scopes) > 0 {
			return
		}
	}
	c.whole = newPlan(c, c.links)
}

// planFor returns the plan for a method, the same for all methods that the same
// links apply to.
func (c *Chain) planFor(m *Method) *plan {
	if c.whole != nil {
		return c.whole
	}
	var links []*link
	set := make([]byte, len(c.links))
	for i, l := range c.links {
		if l.appliesTo(m) {
			links = append(links, l)
			set[i] = 1
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.plans[string(set)]
	if p == nil {
		p = newPlan(c, links)
		c.plans[string(set)] = p
	}
	return p
}

// route is a method with its plan.
type route struct {
	method *Method
	plan   *plan
}

type routeKey struct {
	method string
	kind   Kind
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

// clientRoute returns the route of an outgoing call.
func (c *Chain) clientRoute(full string, kind Kind) (*route, error) {
	key := routeKey{full, kind}
	if known := c.routes.Load(); known != nil {
		if r := (*known)[key]; r != nil {
			return r, nil
		}
	}
	r, err := c.newRoute(full, kind, true)
	if err == nil {
		c.remember(key, r)
	}
	return r, err
}

// remember keeps a route, as long as there is room.
func (c *Chain) remember(key routeKey, r *route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	routes := make(map[routeKey]*route)
	if known := c.routes.Load(); known != nil {
		if len(*known) >= maxRoutes {
			return
		}
		maps.Copy(routes, *known)
	}
	routes[key] = r
	c.routes.Store(&routes)
}

// check panics on a nil chain: what New returns beside an error must not be
// taken for a chain without interceptors.
func (c *Chain) check(what string) {
	if c == nil {
		panic("hauberk: " + what + " of a nil Chain; was the error of hauberk.New looked at?")
	}
}
