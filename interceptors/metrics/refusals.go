package metrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// Origin says what kind of refusal is counted.
type Origin uint8

// The origins.
const (
	// Enforced is a call that was refused in this process.
	Enforced Origin = iota
	// Shadowed is a decision to refuse that was recorded and not enforced.
	Shadowed
	// Remote is a call of a client that ended with a reason given by the other end.
	Remote
)

// String returns "enforced", "shadowed" or "remote".
func (o Origin) String() string { return [...]string{"enforced", "shadowed", "remote"}[min(o, Remote)] }

// maxReason bounds the length of a reason and of an interceptor's name, in bytes.
// A google.rpc.ErrorInfo allows a reason 63.
const maxReason = 63

// cause is what refusals are told apart by.
type cause struct{ interceptor, reason string }

// otherCause is that of refusals of an origin beyond the bound. Remote ones have a
// reason alone, by which exporters tell them apart.
func otherCause(o Origin) cause {
	if o == Remote {
		return cause{Unknown, Other}
	}
	return cause{Other, Other}
}

// refuse counts a refusal.
func (s *side) refuse(o Origin, c cause) {
	if !presentable(c.interceptor, maxReason) || !presentable(c.reason, maxReason) {
		c = otherCause(o)
	}
	s.refusals[o].add(c, otherCause(o))
}

// count counts what was refused of a call. decisions are those recorded since it
// reached the interceptor.
func (s *side) count(r *result, decisions []hauberk.Decision) {
	for i := range decisions {
		if d := &decisions[i]; d.Verdict == hauberk.Refused && d.Shadow {
			s.refuse(Shadowed, cause{orUnknown(d.Link), orUnknown(d.Reason)})
		}
	}
	switch {
	case r.refusal != nil:
		reason := r.refusal.Reason()
		s.refuse(Enforced, cause{decider(decisions, reason), orUnknown(reason)})
	case r.remote != "":
		s.refuse(Remote, cause{Unknown, r.remote})
	}
}

// decider returns the interceptor that recorded, last, that it refused for a
// reason.
func decider(decisions []hauberk.Decision, reason string) string {
	for i := len(decisions) - 1; i >= 0; i-- {
		if d := &decisions[i]; d.Verdict == hauberk.Refused && !d.Shadow && d.Reason == reason {
			return orUnknown(d.Link)
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

// Refusal is how many calls were refused for one cause.
type Refusal struct {
	Side   hauberk.Side
	Origin Origin
	// Interceptor is the name of the link that decided, or Other, or Unknown, as it
	// always is of what is Remote.
	Interceptor string
	// Reason is in UPPER_SNAKE_CASE, as [hauberk.Reject] was given it, or Unknown, or
	// Other. Of what is Remote it is the server's word, in any form.
	Reason string
	Count  uint64
}

// Refusals returns how many calls were refused for each cause, ordered by side,
// origin, interceptor and reason. The result is the caller's.
func (m *Metrics) Refusals() []Refusal {
	var all []Refusal
	for i := range m.sides {
		for o := range m.sides[i].refusals {
			m.sides[i].refusals[o].each(func(c cause, n uint64) {
				all = append(all, Refusal{hauberk.Side(i), Origin(o), c.interceptor, c.reason, n})
			})
		}
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Side, b.Side), cmp.Compare(a.Origin, b.Origin),
			strings.Compare(a.Interceptor, b.Interceptor), strings.Compare(a.Reason, b.Reason))
	})
	return all
}

// byReason returns the refusals of one origin by reason.
func (s *side) byReason(o Origin) map[string]uint64 {
	counts := make(map[string]uint64)
	s.refusals[o].each(func(c cause, n uint64) { counts[c.reason] += n })
	return counts
}
