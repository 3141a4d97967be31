package metrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// Origin is the origin of a rejection.
type Origin uint8

// The origins.
const (
	// Enforced is a rejection in this process.
	Enforced Origin = iota
	// Shadowed is a rejection in this process that was recorded and not enforced.
	Shadowed
	// Remote is a client's call that the server ended with a reason.
	Remote
)

// String returns "enforced", "shadowed" or "remote".
func (o Origin) String() string { return [...]string{"enforced", "shadowed", "remote"}[min(o, Remote)] }

// maxReason is the maximum length of a reason and of an interceptor's name, in bytes. It is the
// limit of google.rpc.ErrorInfo for a reason.
const maxReason = 63

// cause is the key of equal rejections.
type cause struct{ interceptor, reason string }

// otherCause returns the cause of rejections beyond the bound. Remote rejections have a reason
// only: exporters do not export their interceptor.
func otherCause(o Origin) cause {
	if o == Remote {
		return cause{Unknown, Other}
	}
	return cause{Other, Other}
}

// reject counts one rejection.
func (s *side) reject(o Origin, c cause) {
	if !presentable(c.interceptor, maxReason) || !presentable(c.reason, maxReason) {
		c = otherCause(o)
	}
	s.rejections[o].add(c, otherCause(o))
}

// count counts the rejections of a call. decisions are those recorded since the call reached the
// interceptor.
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

// decider returns the interceptor of the last recorded rejection with a reason.
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

// Rejection is the number of rejections with one cause.
type Rejection struct {
	Side   hauberk.Side
	Origin Origin
	// Interceptor is the name of the interceptor that rejected, or Other, or Unknown. It is
	// Unknown for the origin Remote.
	Interceptor string
	// Reason is the reason in UPPER_SNAKE_CASE as passed to [hauberk.Reject], or Unknown, or
	// Other. For the origin Remote it is the server's text and may have any form.
	Reason string
	Count  uint64
}

// Rejections returns the numbers of rejections, sorted by side, origin, interceptor and reason.
// The caller may modify the result.
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

// byReason returns the numbers of rejections of one origin by reason.
func (s *side) byReason(o Origin) map[string]uint64 {
	counts := make(map[string]uint64)
	s.rejections[o].each(func(c cause, n uint64) { counts[c.reason] += n })
	return counts
}
