package metrics

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
)

// method is what is counted of one method on one side.
type method struct {
	counters // with labels, only what they share: the latency

	latency quantile.Histogram

	labels sync.RWMutex // guards sets; the table's mutex is held too when sets changes
	sets   map[string]*counters
}

// counters is what is counted of a method's calls, or of those with the same
// values of the labels.
type counters struct {
	label

	values     []string // of the labels
	since      time.Time
	registered atomic.Bool

	started atomic.Uint64
	// plain counts the unary calls that were OK and moved one message each way:
	// nearly all calls of nearly all methods, in one addition instead of three. They
	// are not in handled, sent and received.
	plain    atomic.Uint64
	handled  [numCodes]atomic.Uint64
	sent     atomic.Uint64 // by unary calls
	received atomic.Uint64
	buckets  []atomic.Uint64     // of latency; the last is for what lies above the bounds
	all      *quantile.Histogram // the latencies of the method

	total     atomic.Int64 // ns; with labels, of the latencies of this series
	bytes     *bytes       // nil if they are not counted
	exemplars *exemplars   // nil if none are kept
	recorders atomic.Pointer[[]Recorder]

	mu          sync.Mutex // guards what follows: the end of a stream is one step
	running     []*stream
	streamedOut uint64 // by streams that have ended
	streamedIn  uint64
}

func (t *table) newMethod(l label) *method {
	of := new(method)
	t.prepare(&of.counters, l, &of.latency)
	return of
}

// prepare makes a series ready for use. The table's mutex is held.
func (t *table) prepare(c *counters, l label, all *quantile.Histogram) {
	config := &t.metrics.config
	c.label, c.since, c.all = l, t.metrics.now(), all
	c.buckets = make([]atomic.Uint64, len(config.Buckets)+1)
	if config.CountBytes {
		c.bytes = new(bytes)
	}
	if t.metrics.exemplar != nil {
		c.exemplars = &exemplars{buckets: make([]atomic.Pointer[Exemplar], len(c.buckets))}
	}
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

// observe counts the latency of a call that has ended, and returns its bucket.
func (c *counters) observe(bounds []time.Duration, took time.Duration) int {
	i := bucketOf(bounds, took)
	c.buckets[i].Add(1)
	c.all.Record(took)
	if c.values != nil {
		c.addTotal(int64(took))
	}
	return i
}

// bucketOf returns the place of the first bound that a latency does not exceed. It
// looks at them in turn: most calls are fast, and who took long can spare the time.
func bucketOf(bounds []time.Duration, took time.Duration) int {
	for i, bound := range bounds {
		if took <= bound {
			return i
		}
	}
	return len(bounds)
}

// addTotal adds to the total, which stops where a Duration ends: it never wraps.
func (c *counters) addTotal(took int64) {
	for {
		old := c.total.Load()
		sum := old + took
		if sum < old {
			sum = math.MaxInt64
		}
		if c.total.CompareAndSwap(old, sum) {
			return
		}
	}
}

// sum returns the sum of the latencies.
func (c *counters) sum() time.Duration {
	if c.values != nil {
		return time.Duration(c.total.Load())
	}
	return c.all.Sum()
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
