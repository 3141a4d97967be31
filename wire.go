package hauberk

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// WireSizes has the bytes of calls counted, for [Call.Wire]. The options that the
// chain makes ([Chain.NewServer], [Chain.ServerOptions], [Chain.DialOptions]) then
// include [Chain.StatsHandler], which costs a call a few allocations; calls that
// reach the chain without it are not measured.
func WireSizes() Interceptor {
	return &setting{func(c *Chain) error {
		c.wireSizes = true
		return nil
	}}
}

// StatsHandler returns what [WireSizes] adds to a server's or a client's options,
// for code that assembles its own: for grpc.StatsHandler or grpc.WithStatsHandler.
// It is nil for a chain without WireSizes, which is not to be given to grpc-go.
func (c *Chain) StatsHandler(side Side) stats.Handler {
	c.check("StatsHandler")
	if !c.wireSizes {
		return nil
	}
	return wireStats{side}
}

// WireBytes is what went one way.
type WireBytes struct {
	// Messages is how many there were.
	Messages int64
	// Bytes is their size before compression, as encoded.
	Bytes int64
	// Compressed is their size as sent, without the 5 bytes in front of each. It is
	// that before compression for messages that are not compressed.
	Compressed int64
}

// Wire is what a call moved over its connection; on a client one attempt of the
// call, with what grpc-go itself sent again. Its methods are safe for concurrent
// use, and for a nil Wire, which has moved nothing.
type Wire struct {
	side           Side
	measured       atomic.Bool // grpc-go has told the handler of the call
	sent, received wireCount

	mu    sync.Mutex // guards what follows
	final bool
	then  []func()
}

type wireCount struct{ messages, bytes, compressed atomic.Int64 }

func (c *wireCount) add(bytes, compressed int) {
	c.messages.Add(1)
	c.bytes.Add(int64(bytes))
	c.compressed.Add(int64(compressed))
}

func (c *wireCount) load() WireBytes {
	return WireBytes{c.messages.Load(), c.bytes.Load(), c.compressed.Load()}
}

// Sent returns what this side has sent so far.
func (w *Wire) Sent() WireBytes {
	if w == nil {
		return WireBytes{}
	}
	return w.sent.load()
}

// Received returns what this side has received so far.
func (w *Wire) Received() WireBytes {
	if w == nil {
		return WireBytes{}
	}
	return w.received.load()
}

// WhenFinal runs f once the sizes are final: on a server when the response and the
// status have been written, which for the one response of a method is after the
// chain has returned, on the goroutine of the call; at once if that is past. On a
// client, where it is for after next, and for a nil Wire it runs f at once.
func (w *Wire) WhenFinal(f func()) {
	if w == nil || w.side == ClientSide || !w.postpone(f) {
		f()
	}
}

// postpone keeps f for the end, unless that is past.
func (w *Wire) postpone(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.final {
		w.then = append(w.then, f)
	}
	return !w.final
}

func (w *Wire) end() {
	w.mu.Lock()
	w.final = true
	then := w.then
	w.then = nil
	w.mu.Unlock()
	for _, f := range then {
		f()
	}
}

// Wire returns the sizes of a call on a server, or on a client, after next, of its
// last attempt. It is nil where they are not measured (see [WireSizes]) and for an
// attempt that did not come to a connection.
func (c *Call) Wire() *Wire {
	if !c.plan.chain.wireSizes {
		return nil
	}
	if c.side == ServerSide {
		return wireIn(c.ctx.Context, ServerSide)
	}
	if more := c.more.Load(); more != nil {
		if w := more.wire.Load(); w != nil && w.measured.Load() {
			return w
		}
	}
	return nil
}

// measure gives a new attempt of a client a place for its sizes.
func (c *Call) measure(ctx context.Context) context.Context {
	if !c.plan.chain.wireSizes {
		return ctx
	}
	w := &Wire{side: ClientSide}
	c.lazy().wire.Store(w)
	return context.WithValue(ctx, wireKey{}, w)
}

type wireKey struct{}

// wireIn returns the sizes in a context. Those of a server are not for the calls
// that its handlers make.
func wireIn(ctx context.Context, side Side) *Wire {
	w, _ := ctx.Value(wireKey{}).(*Wire)
	if w == nil || w.side != side {
		return nil
	}
	return w
}

// wireStats hears from grpc-go what a call moves.
type wireStats struct{ side Side }

// TagRPC gives a call of a server a place for its sizes.
func (h wireStats) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if h.side == ServerSide {
		return context.WithValue(ctx, wireKey{}, &Wire{side: ServerSide})
	}
	if w := wireIn(ctx, ClientSide); w != nil {
		w.measured.Store(true)
	}
	return ctx
}

// HandleRPC counts a message, and ends the counting on a server.
func (h wireStats) HandleRPC(ctx context.Context, event stats.RPCStats) {
	w := wireIn(ctx, h.side)
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
func (wireStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (wireStats) HandleConn(context.Context, stats.ConnStats) {}
