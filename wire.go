package hauberk

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// StatsHandler returns the handler that [Config.CountBytes] adds to the options of a
// server or a client. Code that assembles its own options passes it to grpc.StatsHandler
// or grpc.WithStatsHandler. Without CountBytes it is nil, which grpc-go does not accept.
func (c *Chain) StatsHandler(side Side) stats.Handler {
	return c.attaching("StatsHandler").statsHandler(side)
}

func (a *attachments) statsHandler(side Side) stats.Handler {
	if !a.countsBytes() {
		return nil
	}
	return &wireStats{a, side}
}

// WireBytes counts the messages and bytes of one direction.
type WireBytes struct {
	// Messages is the number of messages.
	Messages int64
	// Bytes is their size before compression, as encoded.
	Bytes int64
	// Compressed is the size as sent, without gRPC's 5-byte prefixes. It equals Bytes for
	// uncompressed messages.
	Compressed int64
}

// Wire contains the sizes of a call, or on a client of one attempt, including grpc-go's
// own retries. Its methods are safe for concurrent use. The sizes of a nil Wire are zero.
type Wire struct {
	at             *attachments
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

// WhenFinal runs f once the sizes are final. On a server that is when the response and
// the status have been written, which for the one response of a method is after the chain
// has returned. f then runs on the goroutine of the call, and the chain's [Guard]
// contains a panic of f. If the sizes are final already, WhenFinal runs f at once. On a
// client, after next, and for a nil Wire it runs f at once. A nil f does nothing.
func (w *Wire) WhenFinal(f func()) {
	if f == nil {
		return
	}
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

// Wire returns the sizes of a call on a server. On a client it returns those of the last
// attempt, after next. It is nil if sizes are not measured (see [Config.CountBytes]), and
// for an attempt that ended before it reached grpc-go. Safe for concurrent use.
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
	w := wireIn(c.ctx.Context, c.plan.chain.at, ServerSide)
	if w != nil {
		w.call.CompareAndSwap(nil, c.state())
	}
	return w
}
