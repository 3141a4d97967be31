package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/hauberk-rpc/hauberk"
)

// Names that stand for many.
const (
	// Unknown is the service and method of calls of methods that the server does
	// not know, and the interceptor of refusals that no interceptor recorded.
	Unknown = "unknown"
	// Other is the service and method, or the interceptor and reason, of what came
	// after the bound on their number was reached, and of names that are too long or
	// not in UTF-8.
	Other = "other"
)

// maxName bounds the length of a method's full name, in bytes.
const maxName = 256

// maxPointers bounds how many of a method's *hauberk.Method are remembered. A
// chain has one, but chains come and go, and Call.SetMethod makes a new one for
// each call.
const maxPointers = 8

// table finds a method's counters.
type table struct {
	side    hauberk.Side
	metrics *Metrics

	byMethod sync.Map // *hauberk.Method to *counters: a few for each of counters

	mu         sync.Mutex
	counters   map[label]*counters
	registered map[string]*counters // by full name
}

// label is what the counters of a method are told apart by.
type label struct {
	kind            hauberk.Kind
	service, method string
}

func (t *table) init(which hauberk.Side, m *Metrics) {
	t.side, t.metrics = which, m
	t.counters = make(map[label]*counters)
	t.registered = make(map[string]*counters)
}

// of returns the counters of a method.
func (t *table) of(m *hauberk.Method) *counters {
	if c, ok := t.byMethod.Load(m); ok {
		return c.(*counters)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !m.Known() {
		return t.ofUnknown(m)
	}
	c := t.ofKnown(m)
	if c.pointers < maxPointers {
		c.pointers++
		t.byMethod.Store(m, c)
	}
	return c
}

func (t *table) ofUnknown(m *hauberk.Method) *counters {
	if c := t.registered[m.FullName()]; c != nil {
		return c
	}
	return t.make(label{m.Kind(), Unknown, Unknown})
}

func (t *table) ofKnown(m *hauberk.Method) *counters {
	l := label{m.Kind(), m.Service(), m.Name()}
	if c := t.counters[l]; c != nil {
		return c
	}
	full := t.side == hauberk.ClientSide && len(t.counters) >= t.metrics.config.MaxMethods
	if full || !presentable(m.FullName(), maxName) {
		return t.make(label{m.Kind(), Other, Other})
	}
	// A copy: a proxy's names may be parts of something larger.
	return t.make(label{m.Kind(), strings.Clone(l.service), strings.Clone(l.method)})
}

func (t *table) register(kind hauberk.Kind, service, method string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := label{kind, service, method}
	if !presentable("/"+service+"/"+method, maxName) {
		l = label{kind, Other, Other}
	}
	c := t.make(l)
	c.registered.Store(true)
	t.registered["/"+service+"/"+method] = c
}

// make returns the counters of a label, new ones if there are none. The lock is
// held.
func (t *table) make(l label) *counters {
	c := t.counters[l]
	if c == nil {
		c = newCounters(l, t.metrics.now(), len(t.metrics.config.Buckets))
		t.counters[l] = c
	}
	return c
}

// all returns the counters of all methods.
func (t *table) all() []*counters {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.counters))
}

// presentable reports whether a name that anyone may have chosen can stand in a
// label.
func presentable(name string, limit int) bool { return len(name) <= limit && utf8.ValidString(name) }
