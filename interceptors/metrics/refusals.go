package metrics

import (
	"sync"

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

// refusals counts refusals of one origin.
type refusals struct {
	limit  int
	mu     sync.Mutex
	counts map[cause]uint64
}

// cause is what refusals are told apart by.
type cause struct{ interceptor, reason string }

func (r *refusals) add(c cause) {
	if !presentable(c.interceptor, maxReason) || !presentable(c.reason, maxReason) {
		c = cause{Other, Other}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.counts[c]; !ok && len(r.counts) >= r.limit {
		c = cause{Other, Other}
	}
	if r.counts == nil {
		r.counts = make(map[cause]uint64)
	}
	r.counts[c]++
}

// count counts what was refused of a call. decisions are those recorded since it
// reached the interceptor.
func (s *side) count(r *result, decisions []hauberk.Decision) {
	for i := range decisions {
		if d := &decisions[i]; d.Verdict == hauberk.Refused && d.Shadow {
			s.refusals[Shadowed].add(cause{orUnknown(d.Link), orUnknown(d.Reason)})
		}
	}
	switch {
	case r.refusal != nil:
		reason := r.refusal.Reason()
		s.refusals[Enforced].add(cause{decider(decisions, reason), orUnknown(reason)})
	case r.remote != "":
		s.refusals[Remote].add(cause{Unknown, r.remote})
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
	// Interceptor is the name of the link that decided, or Unknown.
	Interceptor string
	// Reason is in UPPER_SNAKE_CASE, as [hauberk.Reject] was given it.
	Reason string
	Count  uint64
}
