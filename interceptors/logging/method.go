package logging

import (
	"log/slog"
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// method is what the calls of one method share.
type method struct {
	*policy
	*sampler

	plain bound // for records whose code differs from call to call, or is not known
	good  bound // for those of calls that ended as OK
}

// bound is the logger's handler with the attributes that all of a method's calls
// have. slog's handlers have them written in advance, which saves a third of what a
// record costs.
type bound struct{ at atomic.Pointer[boundHandler] }

type boundHandler struct {
	slog.Handler

	logger *slog.Logger // that it was made of: the default may change
}

// methods keeps what calls share. An interceptor may make a call's Method anew for each
// call, so that names lead to the same.
type methods struct {
	known   methodtable.Cache[*hauberk.Method, *method]
	named   methodtable.Cache[methodName, *method]
	unknown sampler
}

type methodName struct {
	side hauberk.Side
	kind hauberk.Kind // clients choose it themselves, call by call
	full string
}

// methodOf returns what the call shares with others of its method. The names of
// methods that are not known are the caller's, and not kept.
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

// handler returns the logger's handler for a record of a call; good says that the
// call ended as OK.
func (m *method) handler(logger *slog.Logger, call *hauberk.Call, good bool) slog.Handler {
	b := &m.plain
	if good {
		b = &m.good
	}
	if h := b.at.Load(); h != nil && h.logger == logger {
		return h.Handler
	}
	h := logger.Handler().WithAttrs(common(call, good))
	b.at.Store(&boundHandler{h, logger})
	return h
}

func common(call *hauberk.Call, good bool) []slog.Attr {
	m := call.Method()
	list := []slog.Attr{
		slog.String(KeySide, call.Side().String()),
		slog.String(KeyService, logtext.Cut(m.Service(), maxName)),
		slog.String(KeyMethod, logtext.Cut(m.Name(), maxName)),
		slog.String(KeyKind, m.Kind().String()),
	}
	if good {
		list = append(list, slog.String(KeyCode, codes.OK.String()))
	}
	return list
}
