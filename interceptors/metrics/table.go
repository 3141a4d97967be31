package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// Names for methods, interceptors, reasons and label values without their own numbers.
const (
	// Unknown is the service and method of calls of methods that the server does not know.
	// It is also the interceptor of rejections that no interceptor recorded, and the reason
	// of rejections without one.
	Unknown = "unknown"
	// Other replaces a service and method, an interceptor and reason, or a label value if
	// the bound on their number is reached, or if the name is too long or not UTF-8.
	Other = "other"
)

// maxName is the maximum length of a method's full name, in bytes.
const maxName = methodtable.MaxName

// maxPointers is the maximum number of *hauberk.Method in the cache for each method that a client
// may have.
const maxPointers = 16

// table contains the methods of one side.
type table struct {
	side    hauberk.Side
	metrics *Interceptor

	byMethod methodtable.Cache[*hauberk.Method, *method]

	mu          sync.Mutex // guards the fields below
	methods     map[label]*method
	registered  map[string]*method  // by full name
	sets        map[string]struct{} // of labels with their own series, by key
	labelSeries int                 // number of series with labels
	recorders   []func(Identity) Recorder
}

// label identifies a method.
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

// of returns the counters of a method.
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
	// The copy lets the garbage collector free a proxy's larger buffer.
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

// make returns the method with a label. It creates the method if necessary. The caller holds
// t.mu.
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

// series returns the counters of all methods or, with labels, of all their sets. The caller
// holds t.mu.
func (t *table) series() []*counters {
	all := make([]*counters, 0, len(t.methods))
	for _, of := range t.methods {
		all = append(all, of.series(len(t.metrics.labelNames) > 0)...)
	}
	return all
}

// series returns the counters of the method or, if labels is true, of its sets.
func (m *method) series(labels bool) []*counters {
	if !labels {
		return []*counters{&m.counters}
	}
	m.labels.RLock()
	defer m.labels.RUnlock()
	return slices.Collect(maps.Values(m.sets))
}

// presentable reports whether a name that a peer may have chosen is valid as a label value.
func presentable(name string, limit int) bool { return methodtable.Presentable(name, limit) }
