package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// Names that stand for many.
const (
	// Unknown is the service and method of calls of methods that the server does
	// not know, and the interceptor of rejections that no interceptor recorded.
	Unknown = "unknown"
	// Other is the service and method, or the interceptor and reason, of what came
	// after the bound on their number was reached, and of names that are too long or
	// not in UTF-8.
	Other = "other"
)

// maxName bounds the length of a method's full name, in bytes.
const maxName = methodtable.MaxName

// maxPointers is how many *hauberk.Method are remembered for each method that a client
// may have.
const maxPointers = 8

// table finds a method's counters.
type table struct {
	side    hauberk.Side
	metrics *Interceptor

	byMethod methodtable.Cache[*hauberk.Method, *method]

	mu          sync.Mutex // guards what follows
	methods     map[label]*method
	registered  map[string]*method  // by full name
	sets        map[string]struct{} // of labels that are told apart, by their keys
	labelSeries int                 // how many series there are of all of them
	recorders   []func(Identity) Recorder
}

// label is what methods are told apart by.
type label struct {
	kind            hauberk.Kind
	service, method string
}

func (t *table) init(which hauberk.Side, m *Interceptor) {
	t.side, t.metrics = which, m
	t.byMethod.Limit = maxPointers * (m.config.MaxMethods + 1) // and Other
	t.methods = make(map[label]*method)
	t.registered = make(map[string]*method)
	t.sets = make(map[string]struct{})
}

// of returns what is counted of a method.
func (t *table) of(m *hauberk.Method) *method {
	if c, ok := t.byMethod.Get(m); ok {
		return c
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !m.Known() {
		return t.ofUnknown(m)
	}
	return t.byMethod.Keep(m, t.ofKnown(m))
}

func (t *table) ofUnknown(m *hauberk.Method) *method {
	if c := t.registered[m.FullName()]; c != nil {
		return c
	}
	return t.make(label{m.Kind(), Unknown, Unknown})
}

func (t *table) ofKnown(m *hauberk.Method) *method {
	l := label{m.Kind(), m.Service(), m.Name()}
	if c := t.methods[l]; c != nil {
		return c
	}
	full := t.side == hauberk.ClientSide && len(t.methods) >= t.metrics.config.MaxMethods
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

// make returns what is counted under a label, a new one if there is none. The lock
// is held.
func (t *table) make(l label) *method {
	of := t.methods[l]
	if of == nil {
		of = t.newMethod(l)
		t.methods[l] = of
		if len(t.metrics.labelNames) == 0 {
			t.openRecorders(&of.counters)
		}
	}
	return of
}

// all returns the methods.
func (t *table) all() []*method {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.methods))
}

// series returns the counters of all methods, and with labels of all their sets.
// The lock is held.
func (t *table) series() []*counters {
	all := make([]*counters, 0, len(t.methods))
	for _, of := range t.methods {
		all = append(all, of.series(len(t.metrics.labelNames) > 0)...)
	}
	return all
}

// series returns the counters of the method.
func (m *method) series(labels bool) []*counters {
	if !labels {
		return []*counters{&m.counters}
	}
	m.labels.RLock()
	defer m.labels.RUnlock()
	return slices.Collect(maps.Values(m.sets))
}

// presentable reports whether a name that anyone may have chosen can stand in a
// label.
func presentable(name string, limit int) bool { return methodtable.Presentable(name, limit) }
