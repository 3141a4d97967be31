package logging

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// maxMethods is how many methods are kept, until they are all let go: a client can
// call any number of them.
const maxMethods = 4096

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

// methods keeps what calls share. A link may make a call's Method anew for each
// call, so that names lead to the same.
type methods struct {
	known   kept // *hauberk.Method to *method
	named   kept // methodName to *method
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
	if known, ok := x.methods.known.Load(m); ok {
		return known.(*method)
	}
	if !m.Known() {
		return &method{policy: x.rules.of(m), sampler: &x.methods.unknown}
	}
	named := x.methods.named.keep(methodName{call.Side(), m.Kind(), m.FullName()}, func() any {
		return &method{policy: x.rules.of(m), sampler: new(sampler)}
	})
	x.methods.known.keep(m, func() any { return named })
	return named.(*method)
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

// kept is a map that is emptied when it is full.
type kept struct {
	sync.Map

	size atomic.Int64
}

func (k *kept) keep(key any, create func() any) any {
	if v, ok := k.Load(key); ok {
		return v
	}
	if k.size.Add(1) > maxMethods {
		k.Clear()
		k.size.Store(1)
	}
	v, _ := k.LoadOrStore(key, create())
	return v
}
