package hauberk

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
)

// Verdict is what a deciding interceptor said of a call.
type Verdict uint8

// The verdicts.
const (
	Allowed Verdict = iota
	Refused
)

// String returns "allowed" or "refused".
func (v Verdict) String() string {
	if v == Refused {
		return "refused"
	}
	return "allowed"
}

// Decision is one interceptor's verdict on one call. Rule is for operators and
// never reaches a client; Reason is that of the [Rejection].
type Decision struct {
	Link    string
	Rule    string
	Verdict Verdict
	Reason  string
	// Shadow says that the verdict was not enforced.
	Shadow bool
}

// Decide records a verdict. Inside [Shadow] it is recorded as not enforced. Safe
// for concurrent use.
func (c *Call) Decide(d Decision) {
	root := c.state()
	more, own := root.lazy(), c.more.Load()
	root.mu.Lock()
	defer root.mu.Unlock()
	d.Shadow = d.Shadow || own != nil && own.shadow > 0
	more.decisions = append(more.decisions, d)
}

// Decisions returns the verdicts recorded so far, in their order. Safe for
// concurrent use.
func (c *Call) Decisions() []Decision {
	root := c.state()
	more := root.more.Load()
	if more == nil {
		return nil
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	return slices.Clone(more.decisions)
}

// Shadow lets a deciding interceptor decide without enforcing: a call that it
// would refuse goes on, and the refusal is recorded ([Call.Decisions]) and
// counted ([Shadowed.Refusals]). [New] refuses a Shadow around an interceptor
// that does not decide: one that acts on calls cannot be shadowed.
func Shadow(x Interceptor) *Shadowed {
	return &Shadowed{inner: x, name: declarationOf(x).Name}
}

// Shadowed is an interceptor in shadow.
type Shadowed struct {
	inner    Interceptor
	name     string
	refusals atomic.Int64
}

// Refusals returns how many calls would have been refused so far. Safe for
// concurrent use.
func (s *Shadowed) Refusals() int64 { return s.refusals.Load() }

// Declare says what the inner interceptor says, without its powers.
func (s *Shadowed) Declare() Declaration {
	d := declarationOf(s.inner)
	if d.Err == nil && !d.Decides {
		d.Err = errNoShadow(d.Name)
	}
	d.Authenticates = false
	return d
}

// Intercept runs the inner interceptor, and the rest of the chain whatever that
// says. The outcome is that of the rest.
func (s *Shadowed) Intercept(ctx context.Context, call *Call, next Next) error {
	more := call.lazy()
	said := len(call.Decisions())
	var outcome error
	passed := false
	more.shadow++
	verdict := s.inner.Intercept(ctx, call, func(ctx context.Context, call *Call) error {
		passed = true
		more.shadow--
		outcome = next(ctx, call)
		more.shadow++
		return outcome
	})
	more.shadow--
	if passed {
		return outcome
	}
	s.refusals.Add(1)
	if len(call.Decisions()) == said {
		call.Decide(Decision{Link: s.name, Verdict: Refused, Reason: Reason(verdict), Shadow: true})
	}
	return next(ctx, call)
}

func errNoShadow(name string) error {
	return fmt.Errorf("%s acts on calls rather than deciding on them, so it cannot be put in Shadow", name)
}
