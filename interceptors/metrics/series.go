package metrics

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// Series contains the numbers of one method on one side for exporters. With labels, it contains
// the numbers of the method's calls with the same label values. Numbers never decrease from one
// call of [Interceptor.Series] to the next. The numbers of a Series are not read atomically.
type Series struct {
	Identity

	// Registered reports whether [Interceptor.Register] named the method.
	Registered bool
	// Since is the time when the series was created.
	Since time.Time

	// Started counts the calls that have started. Handled counts those that have ended, by
	// codes.Code.
	Started uint64
	Handled [codes.Unauthenticated + 1]uint64
	// Sent and Received count the messages that this side has sent and received.
	Sent, Received uint64
	// Buckets counts the latencies in each bucket: those above the previous bound and up to
	// its own bound in [Interceptor.Buckets]. The last bucket counts those above all bounds.
	// Sum is the sum of all latencies.
	Buckets []uint64
	Sum     time.Duration
	// Bytes is nil without Config.CountBytes.
	Bytes *Bytes
	// Exemplars is nil without WithExemplars.
	Exemplars *Exemplars
}

// Ended returns the number of calls that have ended.
func (s *Series) Ended() (n uint64) {
	for _, handled := range s.Handled {
		n += handled
	}
	return n
}

// InFlight returns the number of calls in flight.
func (s *Series) InFlight() uint64 { return s.Started - s.Ended() }

// Series returns the numbers of all methods, sorted by side, service, method, kind and labels.
// The caller may modify the result.
func (m *Interceptor) Series() []Series {
	var all []Series
	for i := range m.sides {
		all = append(all, m.sides[i].methods.shown()...)
	}
	slices.SortFunc(all, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.Side, b.Side), strings.Compare(a.Service, b.Service),
			strings.Compare(a.Method, b.Method), cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Labels, b.Labels))
	})
	return all
}

// shown returns the series of one side.
func (t *table) shown() []Series {
	t.mu.Lock()
	all := t.series()
	t.mu.Unlock()
	shown := make([]Series, len(all))
	for i, c := range all {
		shown[i] = c.shown(t.identity(c))
	}
	return shown
}

func (c *counters) shown(id Identity) Series {
	s := Series{
		Identity:   id,
		Registered: c.registered.Load(), Since: c.since,
		Handled: c.ended(),
		Started: c.started.Load(), // read after handled, so that it is not less
		Buckets: make([]uint64, len(c.buckets)),
	}
	s.Sent, s.Received = c.messages()
	for i := range c.buckets {
		s.Buckets[i] = c.buckets[i].Load()
	}
	s.Sum = c.sum()
	if c.bytes != nil {
		bytes := c.bytes.load()
		s.Bytes = &bytes
	}
	s.Exemplars = c.exemplars.load()
	return s
}

// ended returns the number of calls that have ended with each code.
func (c *counters) ended() (n [numCodes]uint64) {
	for code := range n {
		n[code] = c.handled[code].Load()
	}
	n[codes.OK] += c.plain.Load()
	return n
}
