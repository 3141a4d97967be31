package metrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// Origin says what kind of rejection is counted.
type Origin uint8

// The origins.
const (
	// Enforced is a call that was rejected in this process.
	Enforced Origin = iota
	// Shadowed is a decision to reject that was recorded and not enforced.
	Shadowed
	// Remote is a call of a client that ended with a reason given by the other end.
	Remote
)

// String returns "enforced", "shadowed" or "remote".
func (o Origin) String() string { return [...]string{"enforced", "shadowed", "remote"}[min(o, Remote)] }

// maxReason bounds the length of a reason and of an interceptor's name, in bytes.
// A google.rpc.ErrorInfo allows a reason 63.
const maxReason = 63

// cause is what rejections are told apart by.
type cause struct{ interceptor, reason string }

// otherCause is that of rejections of an origin beyond the bound. Remote ones have a
// reason alone, by which exporters tell them apart.
func otherCause(o Origin) cause {
	if o == Remote {
		return cause{Unknown, Other}
	}
	return cause{Other, Other}
}

// reject counts a rejection.
func (s *side) reject(o Origin, c cause) {
	if !presentable(c.interceptor, maxReason) || !presentable(c.reason, maxReason) {
		c = otherCause(o)
	}
	s.rejections[o].add(c, otherCause(o))
}

// count counts what was rejected of a call. decisions are those recorded since it
// reached the interceptor.
func (s *side) count(r *result, decisions []hauberk.Decision) {
	for i := range decisions {
		if d := &decisions[i]; d.Verdict == hauberk.Rejected && d.Shadow {
			s.reject(Shadowed, cause{orUnknown(d.Interceptor), orUnknown(d.Reason)})
		}
	}
	switch {
	case r.rejection != nil:
		reason := hauberk.Reason(r.rejection)
		s.reject(Enforced, cause{decider(decisions, reason), orUnknown(reason)})
	case r.remote != "":
		s.reject(Remote, cause{Unknown, r.remote})
	}
}

// decider returns the interceptor that recorded, last, that it rejected for a
// reason.
func decider(decisions []hauberk.Decision, reason string) string {
	for i := len(decisions) - 1; i >= 0; i-- {
		if d := &decisions[i]; d.Verdict == hauberk.Rejected && !d.Shadow && d.Reason == reason {
			return orUnknown(d.Interceptor)
		}
	}
	return Unknown
}

func orUnknown(name string) string {
	if name == "" {
		return Unknown
	}
	return name
}

// Rejection is how many calls were rejected for one cause.
type Rejection struct {
	Side   hauberk.Side
	Origin Origin
	// Interceptor is the name of the interceptor that decided, or Other, or Unknown, as it
	// always is of what is Remote.
	Interceptor string
	// Reason is in UPPER_SNAKE_CASE, as [hauberk.Reject] was given it, or Unknown, or
	// Other. Of what is Remote it is the server's word, in any form.
	Reason string
	Count  uint64
}

// Rejections returns how many calls were rejected for each cause, ordered by side,
// origin, interceptor and reason. The result is the caller's.
func (m *Interceptor) Rejections() []Rejection {
	var all []Rejection
	for i := range m.sides {
		for o := range m.sides[i].rejections {
			m.sides[i].rejections[o].each(func(c cause, n uint64) {
				all = append(all, Rejection{hauberk.Side(i), Origin(o), c.interceptor, c.reason, n})
			})
		}
	}
	slices.SortFunc(all, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Side, b.Side), cmp.Compare(a.Origin, b.Origin),
			strings.Compare(a.Interceptor, b.Interceptor), strings.Compare(a.Reason, b.Reason))
	})
	return all
}

// byReason returns the rejections of one origin by reason.
func (s *side) byReason(o Origin) map[string]uint64 {
	counts := make(map[string]uint64)
	s.rejections[o].each(func(c cause, n uint64) { counts[c.reason] += n })
	return counts
}
