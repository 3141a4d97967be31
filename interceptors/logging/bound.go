package logging

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk"
)

// maxBound is how many methods' handlers are kept, until they are all let go: a
// client can make any number of methods.
const maxBound = 4096

// bound keeps for each method the logger's handler with the attributes that all
// of the method's calls have, and those in common. slog's handlers have them
// written in advance, which saves a third of what a record costs.
type bound struct {
	common   []slog.Attr
	handlers sync.Map // *hauberk.Method to *boundHandler
	kept     atomic.Int64
}

type boundHandler struct {
	slog.Handler

	logger *slog.Logger // that it was made of: the default may change
}

// handler returns the handler for calls of a method. The names of methods that are
// not known are the caller's, and not kept.
func (b *bound) handler(logger *slog.Logger, call *hauberk.Call) slog.Handler {
	m := call.Method()
	if known, ok := b.handlers.Load(m); ok {
		if h := known.(*boundHandler); h.logger == logger {
			return h.Handler
		}
	}
	h := logger.Handler().WithAttrs(append([]slog.Attr{
		slog.String(KeySide, call.Side().String()),
		slog.String(KeyService, cut(m.Service(), maxName)),
		slog.String(KeyMethod, cut(m.Name(), maxName)),
		slog.String(KeyKind, m.Kind().String()),
	}, b.common...))
	if m.Known() {
		b.keep(m, &boundHandler{h, logger})
	}
	return h
}

func (b *bound) keep(m *hauberk.Method, h *boundHandler) {
	if b.kept.Add(1) > maxBound {
		b.handlers.Clear()
		b.kept.Store(1)
	}
	b.handlers.Store(m, h)
}
