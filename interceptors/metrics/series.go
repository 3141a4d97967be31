package metrics

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// Series is what an exporter shows of one method on one side. Numbers only grow,
// from one call of [Metrics.Series] to the next; those of one Series are not taken
// at quite the same instant.
type Series struct {
	Side            hauberk.Side
	Kind            hauberk.Kind
	Service, Method string // or Unknown, or Other

	// Registered says that [Metrics.Register] named the method.
	Registered bool
	// Since is when the counting of the method began.
	Since time.Time

	// Started counts calls, Handled those that have ended, by codes.Code.
	Started uint64
	Handled [codes.Unauthenticated + 1]uint64
	// Sent and Received count the messages of this side.
	Sent, Received uint64
	// Buckets counts the latencies up to each of [Metrics.Buckets] and above the one
	// before it, and last those above all. Sum is that of all latencies.
	Buckets []uint64
	Sum     time.Duration
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

// Series returns the numbers of all methods, ordered by side, service, method and
// kind. The result is the caller's.
func (m *Metrics) Series() []Series {
	var all []Series
	for i := range m.sides {
		for _, c := range m.sides[i].methods.all() {
			all = append(all, c.series(hauberk.Side(i)))
		}
	}
	slices.SortFunc(all, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.Side, b.Side), strings.Compare(a.Service, b.Service),
			strings.Compare(a.Method, b.Method), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

func (c *counters) series(side hauberk.Side) Series {
	s := Series{
		Side: side, Kind: c.kind, Service: c.service, Method: c.method,
		Registered: c.registered.Load(), Since: c.since,
		Handled: c.ended(),
		Started: c.started.Load(), // after handled: so that it is no less
		Buckets: make([]uint64, len(c.buckets)),
	}
	s.Sent, s.Received = c.messages()
	for i := range c.buckets {
		s.Buckets[i] = c.buckets[i].Load()
	}
	s.Sum = c.latency.Sum()
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

// Refusals returns how many calls were refused for each cause, ordered by side,
// origin, interceptor and reason. The result is the caller's.
func (m *Metrics) Refusals() []Refusal {
	var all []Refusal
	for i := range m.sides {
		for o := range m.sides[i].refusals {
			all = append(all, m.sides[i].refusals[o].list(hauberk.Side(i), Origin(o))...)
		}
	}
	return all
}

func (r *refusals) list(side hauberk.Side, origin Origin) []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Refusal, 0, len(r.counts))
	for c, n := range r.counts {
		list = append(list, Refusal{side, origin, c.interceptor, c.reason, n})
	}
	slices.SortFunc(list, func(a, b Refusal) int {
		return cmp.Or(strings.Compare(a.Interceptor, b.Interceptor), strings.Compare(a.Reason, b.Reason))
	})
	return list
}
