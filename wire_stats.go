package hauberk

import (
	"context"

	"google.golang.org/grpc/stats"
)

// measure gives a new attempt of a client a place for its sizes. Where the call is
// the part of one inside an adapter, the attempt is that of the outer part too.
func (c *Call) measure(ctx context.Context) context.Context {
	if !c.plan.chain.countBytes {
		return ctx
	}
	ctx, w := withWire(ctx, c.plan.chain.at, ClientSide)
	c.lazy().wire.Store(w)
	s, _ := c.end.(*clientStream)
	for s != nil && s.outer != nil {
		s.outer.call.lazy().wire.Store(w)
		s = s.outer.stream
	}
	return ctx
}

type wireKey struct{}

// withWire puts a place for the sizes of a call into its context.
func withWire(ctx context.Context, at *attachments, side Side) (context.Context, *Wire) {
	outer, _ := ctx.Value(wireKey{}).(*Wire)
	w := &Wire{at: at, side: side, outer: outer}
	return context.WithValue(ctx, wireKey{}, w), w
}

// wireIn returns the sizes in a context that are a chain's on one side: several
// chains may measure a call, and those of a server are not for the calls that its
// handlers make.
func wireIn(ctx context.Context, at *attachments, side Side) *Wire {
	w, _ := ctx.Value(wireKey{}).(*Wire)
	for w != nil && (w.at != at || w.side != side) {
		w = w.outer
	}
	return w
}

// wireStats hears from grpc-go what a call moves. There may be several on one
// connection, also of one chain; each counts what it was the first to hear of.
type wireStats struct {
	at   *attachments
	side Side
}

// TagRPC gives a call of a server a place for its sizes.
func (h *wireStats) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	w := wireIn(ctx, h.at, ClientSide)
	if h.side == ServerSide {
		if !h.at.current.Load().countBytes {
			return ctx
		}
		ctx, w = withWire(ctx, h.at, ServerSide)
	}
	if w != nil {
		w.by.CompareAndSwap(nil, h)
	}
	return ctx
}

// counted returns the sizes in a context that are this handler's to count.
func (h *wireStats) counted(ctx context.Context) *Wire {
	w, _ := ctx.Value(wireKey{}).(*Wire)
	for w != nil && w.by.Load() != h {
		w = w.outer
	}
	return w
}

// HandleRPC counts a message, and ends the counting on a server.
func (h *wireStats) HandleRPC(ctx context.Context, event stats.RPCStats) {
	w := h.counted(ctx)
	if w == nil {
		return
	}
	switch event := event.(type) {
	case *stats.InPayload:
		w.received.add(event.Length, event.CompressedLength)
	case *stats.OutPayload:
		w.sent.add(event.Length, event.CompressedLength)
	case *stats.End:
		if h.side == ServerSide {
			w.end()
		}
	}
}

// TagConn does nothing: connections are not measured.
func (*wireStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (*wireStats) HandleConn(context.Context, stats.ConnStats) {}
