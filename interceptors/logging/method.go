package logging

import (
	"log/slog"
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// method is what the calls of one method share.
type method struct {
	*policy
	*sampler

	plain  bound                 // for records whose code is not known, or not gRPC's
	ended  [codename.Count]bound // for records of ends, by code
	single bound                 // for calls that ended with OK, with one message each way
}

// bound is the logger's handler with attributes that are the same for many records of a
// method. slog's handlers format them once, which saves half of the cost of a record.
type bound struct{ at atomic.Pointer[boundHandler] }

type boundHandler struct {
	slog.Handler

	logger *slog.Logger // the default logger may change
	peers  peerHandlers // with the attribute of a peer
}

// methods are the methods that an interceptor knows. A gateway or an interceptor may
// make a new hauberk.Method for each call, so that methods are also found by name.
type methods struct {
	known   methodtable.Cache[*hauberk.Method, *method]
	named   methodtable.Cache[methodName, *method]
	unknown sampler
}

type methodName struct {
	side hauberk.Side
	kind hauberk.Kind // clients choose it for each call
	full string
}

// methodOf returns the data of a call's method. It keeps none for unknown methods: the
// caller invents their names.
func (x *Interceptor) methodOf(call *hauberk.Call) *method {
	m := call.Method()
	if known, ok := x.methods.known.Get(m); ok {
		return known
	}
	if !m.Known() {
		return &method{policy: x.rules.of(m), sampler: &x.methods.unknown}
	}
	name := methodName{call.Side(), m.Kind(), m.FullName()}
	named, ok := x.methods.named.Get(name)
	if !ok {
		named = x.methods.named.Keep(name, &method{policy: x.rules.of(m), sampler: new(sampler)})
	}
	return x.methods.known.Keep(m, named)
}

// outcome is the part of a record's data that a handler may have formatted in advance.
type outcome struct {
	known          bool // the call has ended
	code           codes.Code
	sent, received int64
}

func (o outcome) isSingle() bool {
	return o.known && o.code == codes.OK && o.sent == 1 && o.received == 1
}

// boundTo returns the place of the handler for records of an outcome.
func (m *method) boundTo(o outcome) *bound {
	switch {
	case o.isSingle():
		return &m.single
	case o.known && int(o.code) < len(m.ended):
		return &m.ended[o.code]
	default:
		return &m.plain
	}
}

// handler returns the logger's handler for a record of a call. It has the attributes of
// common.
func (x *Interceptor) handler(logger *slog.Logger, call *hauberk.Call, m *method, o outcome) *boundHandler {
	b := m.boundTo(o)
	if h := b.at.Load(); h != nil && h.logger == logger {
		return h
	}
	h := logger.Handler()
	if list := x.common(call, o); len(list) > 0 {
		h = h.WithAttrs(list)
	}
	made := &boundHandler{Handler: h, logger: logger}
	b.at.Store(made)
	return made
}

// with returns the handler for a record of an outcome and a peer. bound is whether it has the attribute of the
// peer, which is next to those of common only if the code is OK and there was one message each way.
func (h *boundHandler) with(o outcome, peer *peerAttr) (with slog.Handler, bound bool) {
	if !o.isSingle() {
		return h.Handler, false
	}
	return h.peers.of(h.Handler, peer)
}

// common returns the attributes that are the same for all calls of a method with an
// outcome.
func (x *Interceptor) common(call *hauberk.Call, o outcome) []slog.Attr {
	m, n := call.Method(), &x.names
	service, short := logtext.Cut(m.Service(), maxName), logtext.Cut(m.Name(), maxName)
	var list []slog.Attr
	list = with(list, n.System, slog.StringValue("grpc"))
	list = with(list, n.Side, slog.StringValue(call.Side().String()))
	list = with(list, n.Service, slog.StringValue(service))
	list = with(list, n.Method, slog.StringValue(service+"/"+short))
	list = with(list, n.ShortMethod, slog.StringValue(short))
	list = with(list, n.Kind, slog.StringValue(m.Kind().String()))
	if o.known && codename.Known(o.code) {
		list = x.appendCode(list, o.code)
	}
	if o.isSingle() {
		list = x.appendCounts(list, o)
	}
	return list
}
