package metrics

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// Series is what an exporter shows of one method on one side, or with labels of its
// calls with the same values of them. Numbers only grow,
// from one call of [Interceptor.Series] to the next; those of one Series are not taken
// at quite the same instant.
type Series struct {
	Identity

	// Registered says that [Interceptor.Register] named the method.
	Registered bool
	// Since is when the counting of the series began.
	Since time.Time

	// Started counts calls, Handled those that have ended, by codes.Code.
	Started uint64
	Handled [codes.Unauthenticated + 1]uint64
	// Sent and Received count the messages of this side.
	Sent, Received uint64
	// Buckets counts the latencies up to each of [Interceptor.Buckets] and above the one
	// before it, and last those above all. Sum is that of all latencies.
	Buckets []uint64
	Sum     time.Duration
	// Bytes is nil unless Config.CountBytes asks for it.
	Bytes *Bytes
	// Exemplars is nil without WithExemplars.
	Exemplars *Exemplars
}

// Ended returns how many calls have ended.
func (s *Series) Ended() (n uint64) {
	for _, handled := range s.Handled {
		n += handled
	}
	return n
}

// InFlight returns how many calls are running.
func (s *Series) InFlight() uint64 { return s.Started - s.Ended() }

// Series returns the numbers of all methods, ordered by side, service, method, kind
// and labels. The result is the caller's.
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

// shown returns the numbers of one side.
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
		Started: c.started.Load(), // after handled: so that it is no less
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

// ended returns how many calls have ended with each code.
func (c *counters) ended() (n [numCodes]uint64) {
	for code := range n {
		n[code] = c.handled[code].Load()
	}
	n[codes.OK] += c.plain.Load()
	return n
}
