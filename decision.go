package hauberk

import "slices"

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
	more := root.lazy()
	root.mu.Lock()
	defer root.mu.Unlock()
	if run, ok := c.end.(*shadowRun); ok {
		d.Shadow = true
		run.recorded = run.recorded || d.Verdict == Refused
	}
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
