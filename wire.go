package hauberk

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// StatsHandler returns what [Config.CountBytes] adds to the options of a server or a
// client, for code that assembles its own: for grpc.StatsHandler or
// grpc.WithStatsHandler. Without CountBytes it is nil, which grpc-go does not accept.
func (c *Chain) StatsHandler(side Side) stats.Handler {
	c.check("StatsHandler")
	if !c.countBytes {
		return nil
	}
	return &wireStats{c, side}
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
	chain          *Chain
	side           Side
	outer          *Wire                     // in the same context, of another chain or another call
	by             atomic.Pointer[wireStats] // the handler that counts: the first that grpc-go called for the call
	call           atomic.Pointer[Call]      // on a server, once it asked
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
// chain has returned, on the goroutine of the call; at once if that is past. The
// chain's [Guard] keeps a panic of f there. On a client, where it is for after
// next, and for a nil Wire it runs f at once.
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
		w.run(f)
	}
}

// run runs f, which is an interceptor's, under the guard of its chain.
func (w *Wire) run(f func()) {
	call := w.call.Load()
	if call == nil {
		f()
		return
	}
	_ = call.guarded(func() error {
		f()
		return nil
	})
}

// Wire returns the sizes of a call on a server, or on a client, after next, of its
// last attempt. It is nil where they are not measured (see [Config.CountBytes]) and for an
// attempt that ended before grpc-go had it. Safe for concurrent use.
func (c *Call) Wire() *Wire {
	if !c.plan.chain.countBytes {
		return nil
	}
	if c.side == ServerSide {
		return c.measured()
	}
	if more := c.more.Load(); more != nil {
		if w := more.wire.Load(); w != nil && w.by.Load() != nil {
			return w
		}
	}
	return nil
}

// measured returns the sizes of a call on a server.
func (c *Call) measured() *Wire {
	w := wireIn(c.ctx.Context, c.plan.chain, ServerSide)
	if w != nil {
		w.call.CompareAndSwap(nil, c.state())
	}
	return w
}
