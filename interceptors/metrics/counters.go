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

// method contains the numbers of one method on one side.
type method struct {
	counters // unused if there are labels, except for the latency

	latency quantile.Histogram

	labels sync.RWMutex // guards sets; writers of sets hold the table's mutex too
	sets   map[string]*counters
}

// counters contains the numbers of a method's calls, or of those with the same label values.
type counters struct {
	label

	values     []string // of the labels
	since      time.Time
	registered atomic.Bool

	started atomic.Uint64
	// plain counts the unary calls that ended with OK and one message in each direction.
	// One addition instead of three suffices for them, and most calls are such calls.
	// handled, sent and received do not include them.
	plain    atomic.Uint64
	handled  [numCodes]atomic.Uint64
	sent     atomic.Uint64 // by unary calls
	received atomic.Uint64
	buckets  []atomic.Uint64     // of latency; the last is for latencies above all bounds
	all      *quantile.Histogram // the latencies of the method

	total     atomic.Int64 // sum of the latencies in ns; used if there are labels
	bytes     *bytes       // nil if disabled
	exemplars *exemplars   // nil if disabled
	recorders atomic.Pointer[[]Recorder]

	mu          sync.Mutex // guards the fields below, so that the end of a stream is atomic
	running     []*stream
	streamedOut uint64 // sent by streams that have ended
	streamedIn  uint64
}

func (t *table) newMethod(l label) *method {
	of := new(method)
	t.prepare(&of.counters, l, &of.latency)
	return of
}

// prepare initializes a series. The caller holds t.mu.
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

// observe counts the latency of a call that has ended and returns the index of its bucket.
func (c *counters) observe(bounds []time.Duration, took time.Duration) int {
	i := bucketOf(bounds, took)
	c.buckets[i].Add(1)
	c.all.Record(took)
	if c.values != nil {
		c.addTotal(int64(took))
	}
	return i
}

// bucketOf returns the index of the first bound that a latency does not exceed. It searches from
// the lowest bound: most calls are fast, and the search is short for them.
func bucketOf(bounds []time.Duration, took time.Duration) int {
	for i, bound := range bounds {
		if took <= bound {
			return i
		}
	}
	return len(bounds)
}

// addTotal adds to the total. The total stops at the maximum Duration and does not overflow.
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

// stream is a running call of a streaming method. It allows for reading the number of its messages
// before it ends.
type stream struct {
	call            *hauberk.Call
	at              int   // in counters.running
	sends, receives bool  // streams messages in this direction
	earlier         int64 // how many messages earlier attempts of a client have received

	// sent and received are the numbers that messages has returned so far. A new attempt
	// sends from zero, but counters must not decrease.
	sent, received uint64
}

// open adds a stream to the running ones.
func (c *counters) open(call *hauberk.Call) *stream {
	sends, receives := call.Kind().ServerStreams(), call.Kind().ClientStreams()
	if call.Side() == hauberk.ClientSide {
		sends, receives = receives, sends
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.vacant()
	*s = stream{call: call, at: s.at, sends: sends, receives: receives}
	if call.Side() == hauberk.ClientSide {
		s.earlier = call.TotalReceived()
	}
	return s
}

// receivedSoFar returns how many messages a stream has received, in all attempts of inner interceptors.
func (s *stream) receivedSoFar() uint64 {
	return uint64(max(s.call.TotalReceived()-s.earlier, 0)) // replies may have been discarded
}

// vacant extends running by one stream. It reuses a stream that close has left behind the running
// ones, or makes a new one.
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

// close removes a stream from the running ones and counts its messages.
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

// messages returns the number of messages sent and received so far, running streams included.
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
			s.received = max(s.received, s.receivedSoFar())
		}
		sent += s.sent
		received += s.received
	}
	return sent, received
}
