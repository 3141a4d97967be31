package metrics

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
)

// counters is what is counted of one method on one side.
type counters struct {
	label

	since      time.Time
	registered atomic.Bool
	pointers   int // guarded by the table's mutex

	started atomic.Uint64
	// plain counts the unary calls that were OK and moved one message each way:
	// nearly all calls of nearly all methods, in one addition instead of three. They
	// are not in handled, sent and received.
	plain    atomic.Uint64
	handled  [numCodes]atomic.Uint64
	sent     atomic.Uint64 // by unary calls
	received atomic.Uint64
	buckets  []atomic.Uint64 // of latency; the last is for what lies above the bounds
	latency  quantile.Histogram

	mu          sync.Mutex // guards what follows: the end of a stream is one step
	running     []*stream
	streamedOut uint64 // by streams that have ended
	streamedIn  uint64
}

func newCounters(l label, since time.Time, bounds int) *counters {
	return &counters{label: l, since: since, buckets: make([]atomic.Uint64, bounds+1)}
}

// endUnary counts the end of a unary call.
func (c *counters) endUnary(code codes.Code, sent, received uint64) {
	if code == codes.OK && sent == 1 && received == 1 {
		c.plain.Add(1)
		return
	}
	if sent > 0 {
		c.sent.Add(sent)
	}
	if received > 0 {
		c.received.Add(received)
	}
	c.handled[code].Add(1)
}

// observe counts the latency of a call that has ended.
func (c *counters) observe(bounds []time.Duration, took time.Duration) {
	took = max(took, 0)
	i, _ := slices.BinarySearch(bounds, took)
	c.buckets[i].Add(1)
	c.latency.Record(took)
}

// stream is a call of a streaming method that is running, so that its messages
// can be told before it ends.
type stream struct {
	call            *hauberk.Call
	at              int  // in counters.running
	sends, receives bool // any number of messages

	// What was told so far. A new attempt starts from nothing, but what has been
	// told is not taken back: counters never fall.
	sent, received uint64
}

// open adds a stream to those that are running.
func (c *counters) open(call *hauberk.Call) *stream {
	sends, receives := call.Kind().ServerStreams(), call.Kind().ClientStreams()
	if call.Side() == hauberk.ClientSide {
		sends, receives = receives, sends
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.vacant()
	*s = stream{call: call, at: s.at, sends: sends, receives: receives}
	return s
}

// vacant lengthens running by one: by a stream that has ended, which close has
// left behind the others, or by a new one.
func (c *counters) vacant() *stream {
	n := len(c.running)
	if n < cap(c.running) {
		c.running = c.running[:n+1]
	} else {
		c.running = append(c.running, nil)
	}
	if c.running[n] == nil {
		c.running[n] = &stream{at: n}
	}
	return c.running[n]
}

// close takes a stream out of those that are running and counts its messages.
func (c *counters) close(s *stream, sent, received uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streamedOut += max(sent, s.sent)
	c.streamedIn += max(received, s.received)
	s.call = nil
	n := len(c.running) - 1
	last := c.running[n]
	last.at, s.at = s.at, n
	c.running[last.at], c.running[n] = last, s
	c.running = c.running[:n]
}

// messages returns how many messages were sent and received so far, by running
// streams too.
func (c *counters) messages() (sent, received uint64) {
	plain := c.plain.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	sent, received = c.sent.Load()+plain+c.streamedOut, c.received.Load()+plain+c.streamedIn
	for _, s := range c.running {
		if s.sends {
			s.sent = max(s.sent, uint64(s.call.Sent()))
		}
		if s.receives {
			s.received = max(s.received, uint64(s.call.Received()))
		}
		sent += s.sent
		received += s.received
	}
	return sent, received
}
