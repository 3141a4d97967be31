package metricsotel

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// Other is the value of grpc.method for methods that the server does not know or that the client
// does not call by generated code. It is also the value of grpc.method and grpc.target for names
// that a filter hides, that are longer than 256 bytes or not UTF-8, or that exceed
// [Config.MaxSeries].
const Other = "other"

// maxName is the maximum length of a method's full name and of a target, in bytes.
const maxName = methodtable.MaxName

// table finds the series of a call on one side.
type table struct {
	side                    hauberk.Side
	limit                   int
	method, generic, target func(string) bool // filters; may be nil

	byMethod methodtable.Cache[*hauberk.Method, *named]
	names    methodtable.Names[*named]
	other    *named  // for methods without a recorded name
	overflow *series // for pairs beyond the limit

	mu     sync.Mutex // guards the fields below
	placed int        // number of entries in all byTarget maps
	series map[pair]*series
}

// named contains the series of one value of grpc.method by target, before the filter of targets. On a
// server the target is "".
type named struct {
	method   string
	byTarget atomic.Pointer[map[string]*series]
}

type pair struct{ method, target string }

func (t *table) init(side hauberk.Side, limit int, s *settings) {
	t.side, t.limit = side, limit
	t.method, t.generic, t.target = s.method, s.genericMethods, s.target
	t.byMethod.Limit, t.series = 8*limit, make(map[pair]*series)
	t.other, t.overflow = newNamed(Other), newSeries(side, Other, Other)
}

func newNamed(method string) *named {
	n := &named{method: method}
	n.byTarget.Store(&map[string]*series{})
	return n
}

// of returns the series of a call.
func (t *table) of(call *hauberk.Call) *series {
	n, target := t.named(call), call.Target()
	if s := (*n.byTarget.Load())[target]; s != nil {
		return s
	}
	return t.find(n, target)
}

// named returns the entry of the call's method.
func (t *table) named(call *hauberk.Call) *named {
	m := call.Method()
	if !t.declared(call) && (t.generic == nil || !t.generic(m.FullName())) {
		return t.other
	}
	if n, ok := t.byMethod.Get(m); ok {
		return n
	}
	n := t.name(m.FullName())
	if !m.Known() {
		return n
	}
	return t.byMethod.Keep(m, n)
}

// declared reports whether the number of names is bounded by the program: the server has registered
// the method, or a client's program declares its name as static.
func (t *table) declared(call *hauberk.Call) bool {
	if t.side == hauberk.ServerSide {
		return call.Method().Known()
	}
	for _, o := range call.Options() {
		if _, ok := o.(grpc.StaticMethodCallOption); ok {
			return true
		}
	}
	return false
}

// name returns the entry of a full name.
func (t *table) name(full string) *named {
	if n, ok := t.names.Get(full); ok {
		return n
	}
	if !presentable(full) || t.method != nil && !t.method(full) {
		return t.other
	}
	n, ok := t.names.Add(full, t.limit, func(full string) *named { return newNamed(strings.TrimPrefix(full, "/")) })
	if !ok {
		return t.other
	}
	return n
}

// find returns the series of a method and a target. It caches the series if the cache has room.
func (t *table) find(n *named, target string) *series {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.pair(n.method, t.shown(target))
	if t.placed < 8*t.limit {
		t.placed++
		known := maps.Clone(*n.byTarget.Load())
		known[target] = s
		n.byTarget.Store(&known)
	}
	return s
}

// shown returns the value of grpc.target.
func (t *table) shown(target string) string {
	if t.side == hauberk.ServerSide {
		return ""
	}
	if target == "" || !presentable(target) || t.target != nil && !t.target(target) {
		return Other
	}
	return target
}

// pair returns the series of a pair. It creates the series if necessary, or returns overflow if the
// limit is reached. The caller holds t.mu.
func (t *table) pair(method, target string) *series {
	p := pair{method, target}
	s := t.series[p]
	if s == nil && len(t.series) >= t.limit {
		return t.overflow
	}
	if s == nil {
		s = newSeries(t.side, method, target)
		t.series[p] = s
	}
	return s
}

// presentable reports whether a name that a peer may have chosen is valid as an attribute value.
func presentable(name string) bool { return methodtable.Presentable(name, maxName) }
