package tracing

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// otherMethod is the value of rpc.method for a method without a span name, and otherName the name of
// its spans.
const (
	otherMethod = "_OTHER"
	otherName   = "grpc"
)

// table contains the methods of one side.
type table struct {
	side  hauberk.Side
	limit int // number of names of a client's methods
	other *method

	byMethod methodtable.Cache[*hauberk.Method, *method]
	byName   methodtable.Names[*method] // methods with a span name
}

func (t *table) init(side hauberk.Side, limit int) {
	t.side, t.limit = side, limit
	t.other = newMethod(side, otherName, otherMethod)
}

// of returns the entry of a method, and whether the method has a span name.
func (t *table) of(m *hauberk.Method) (found *method, recognized bool) {
	if found, ok := t.byMethod.Get(m); ok {
		return found, found != t.other
	}
	if !m.Known() {
		return t.named(m.FullName())
	}
	found, recognized = t.named(m.FullName())
	if !recognized && methodtable.Presentable(m.FullName(), maxName) {
		found, recognized = t.register(m.FullName())
	}
	t.byMethod.Keep(m, found)
	return found, recognized
}

func (t *table) named(full string) (found *method, recognized bool) {
	if found, ok := t.byName.Get(full); ok {
		return found, true
	}
	return t.other, false
}

// register adds a method with a span name if the limit permits. On a server there is no limit: the
// program defines the methods.
func (t *table) register(full string) (found *method, recognized bool) {
	limit := t.limit
	if t.side == hauberk.ServerSide {
		limit = -1
	}
	found, recognized = t.byName.Add(full, limit, func(full string) *method {
		name := strings.TrimPrefix(full, "/")
		return newMethod(t.side, name, name)
	})
	if !recognized {
		return t.other, false
	}
	return found, true
}

// method contains the name and the options for starting spans of a method.
type method struct {
	name string
	kind trace.SpanKind
	attr attribute.KeyValue

	mu   sync.Mutex
	at   atomic.Pointer[[]located] // cached places; the slice is replaced, not modified
	bare []trace.SpanStartOption   // for an unknown place
}

// located contains the options for spans of a method at a place.
type located struct {
	place   place
	options []trace.SpanStartOption
}

func newMethod(side hauberk.Side, name, rpcMethod string) *method {
	m := &method{name: name, kind: trace.SpanKindServer, attr: semconv.RPCMethod(rpcMethod)}
	if side == hauberk.ClientSide {
		m.kind = trace.SpanKindClient
	}
	m.bare = m.options(place{}, side)
	return m
}

func (m *method) options(at place, side hauberk.Side) []trace.SpanStartOption {
	attrs := append([]attribute.KeyValue{semconv.RPCSystemNameGRPC, m.attr}, at.attributes(side)...)
	return []trace.SpanStartOption{trace.WithSpanKind(m.kind), trace.WithAttributes(attrs...)}
}

// startAt returns the options for a span at a place. It caches them for a bounded number of places.
func (m *method) startAt(at place, side hauberk.Side) []trace.SpanStartOption {
	if at == (place{}) {
		return m.bare
	}
	if options := m.find(at); options != nil {
		return options
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if options := m.find(at); options != nil {
		return options
	}
	options := m.options(at, side)
	if all := m.all(); len(all) < maxPlaces {
		all = append(slices.Clip(all), located{at, options})
		m.at.Store(&all)
	}
	return options
}

func (m *method) all() []located {
	if all := m.at.Load(); all != nil {
		return *all
	}
	return nil
}

func (m *method) find(at place) []trace.SpanStartOption {
	all := m.all()
	for i := range all {
		if all[i].place == at {
			return all[i].options
		}
	}
	return nil
}

// naming returns the name of a span and its start options.
func (t *Interceptor) naming(call *hauberk.Call, s *span) (string, []trace.SpanStartOption) {
	m, recognized := t.methods[call.Side()].of(call.Method())
	if !recognized {
		s.original = clean(strings.TrimPrefix(call.Method().FullName(), "/"), maxName)
	}
	return m.name, m.startAt(placeOf(call), call.Side())
}
