package hauberk

import "slices"

// Verdict is the result of a deciding interceptor.
type Verdict uint8

// The verdicts.
const (
	Allowed Verdict = iota
	Rejected
)

// String returns "allowed" or "rejected".
func (v Verdict) String() string {
	if v == Rejected {
		return "rejected"
	}
	return "allowed"
}

// Decision is one interceptor's verdict on one call.
type Decision struct {
	Interceptor string // its name in the chain
	Rule        string // what it decided by; for operators, never sent to a client
	Verdict     Verdict
	Reason      string // that of the Rejection
	Shadow      bool   // the verdict was not enforced
}

// decisions are the verdicts that interceptors recorded. They are only added to.
type decisions struct {
	list    []Decision
	entries []int32 // for each the place of its interceptor in the plan, or -1
}

// maxDecisions bounds what a call keeps of its decisions of any sort, and beyond
// them of enforced rejections.
const maxDecisions = 128

// add keeps a verdict, as long as there is room.
func (ds *decisions) add(d Decision, at int32) {
	room := maxDecisions
	if d.enforced() {
		room *= 2
	}
	if len(ds.list) < room {
		ds.list = append(ds.list, d)
		ds.entries = append(ds.entries, at)
	}
}

// enforced reports whether a decision is an enforced rejection.
func (d *Decision) enforced() bool { return d.Verdict == Rejected && !d.Shadow }

// Decide records a verdict. Inside [Shadow] it is recorded as not enforced. If
// d.Interceptor is empty, it becomes the name of the running interceptor; hooks must set
// it. Safe for concurrent use.
//
// A call keeps its first 128 decisions, and enforced rejections up to 256 decisions in
// all, since an endless stream may decide on each message.
//
// An interceptor that admits a call need not record it. The chain records a [Rejection]
// returned without next. See [Decisions].
func (c *Call) Decide(d Decision) { c.record(c.decider(&d), d) }

// DryRun reports whether the interceptor runs in [Shadow]. Its decisions are not enforced, and it
// must not delay the call. Hooks that it registers must use the Call of its Intercept. Safe for
// concurrent use.
func (c *Call) DryRun() bool { return c.dryRun != nil }

// record keeps the verdict of the interceptor at a place, or -1.
func (c *Call) record(at int32, d Decision) {
	root := c.state()
	more := root.lazy()
	root.mu.Lock()
	defer root.mu.Unlock()
	if c.dryRun != nil {
		d.Shadow = true
		c.dryRun.recorded = c.dryRun.recorded || d.Verdict == Rejected
	}
	more.decisions.add(d, at)
}

// decider returns the place of the interceptor that decides, or -1, and names it where
// the decision does not. A hook may run while another interceptor does.
func (c *Call) decider(d *Decision) int32 {
	at := c.runningInterceptor()
	switch {
	case at >= 0 && d.Interceptor == "":
		d.Interceptor = c.plan.entries[at].decl.Name
	case at < 0 || d.Interceptor != c.plan.entries[at].decl.Name:
		if named := c.plan.interceptorNamed(d.Interceptor); named >= 0 {
			return named
		}
	}
	return at
}

// runningInterceptor returns the place of the interceptor that is running, or -1 within hooks
// and the handler.
func (c *Call) runningInterceptor() int32 {
	depth := c.nexts.depth()
	if c.nexts.over() || depth == 0 || int(depth) > len(c.plan.entries) {
		return -1
	}
	return depth - 1
}

// nameOf names what runs in the next at place i, for errors.
func (c *Call) nameOf(i int32) string {
	switch {
	case int(i) < len(c.plan.entries):
		return c.plan.entries[i].decl.Name
	case c.side == ClientSide:
		return "the connection"
	default:
		return "the handler"
	}
}

func (p *plan) interceptorNamed(name string) int32 {
	return int32(slices.IndexFunc(p.entries, func(l *entry) bool { return l.decl.Name == name }))
}

// Abstain records that a deciding interceptor ([Declaration.Decides]) makes no decision
// on this call, which it lets pass. Call it before next. It has an effect for the first
// 64 interceptors of a chain. Safe for concurrent use.
func (c *Call) Abstain() {
	if at := c.runningInterceptor(); at >= 0 && at < 64 {
		c.state().abstained.Or(1 << at)
	}
}

// Decisions returns the verdicts on the call so far. Safe for concurrent use.
func (c *Call) Decisions() Decisions { return Decisions{c} }

// Decisions are the verdicts on a call. Its methods are safe for concurrent use.
type Decisions struct{ call *Call }

// Recorded returns the verdicts that interceptors recorded, in the order of time. In
// practice these are the rejections, enforced or not: an interceptor that lets a call
// pass need not record that. It costs no allocation. The result must not be modified.
func (d Decisions) Recorded() []Decision {
	root := d.call.state()
	more := root.more.Load()
	if more == nil {
		return nil
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	return slices.Clip(more.decisions.list)
}

// All returns the verdicts in the order of the interceptors, and those of one interceptor
// in the order of time:
//
//   - the recorded verdicts; those that a hook recorded under a name that no
//     interceptor has come last;
//   - a verdict [Allowed] for each deciding interceptor ([Declaration.Decides]) that
//     called next, recorded nothing and did not abstain; none if it is under a [When]
//     whose condition is false.
//
// The caller owns the result.
func (d Decisions) All() []Decision {
	c := d.call
	recorded, entries := c.recorded()
	passed := c.passed()
	var all []Decision
	for i := range c.plan.entries {
		before := len(all)
		all = appendOf(all, recorded, entries, int32(i))
		if len(all) == before && c.hasAllowed(i, passed) {
			l := c.plan.entries[i]
			all = append(all, Decision{Interceptor: l.decl.Name, Verdict: Allowed, Shadow: l.shadow})
		}
	}
	return appendOf(all, recorded, entries, -1)
}

func (c *Call) recorded() (list []Decision, entries []int32) {
	root := c.state()
	more := root.more.Load()
	if more == nil {
		return nil, nil
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	return more.decisions.list, more.decisions.entries
}

func appendOf(all, recorded []Decision, entries []int32, at int32) []Decision {
	for k, d := range recorded {
		if entries[k] == at {
			all = append(all, d)
		}
	}
	return all
}

// passed returns how many interceptors have called next, in any attempt.
func (c *Call) passed() int {
	reached := c.nexts.reached()
	if more := c.state().more.Load(); more != nil {
		reached = max(reached, more.entered.Load())
	}
	return int(reached) - 1 // the one that was entered last has not
}

// hasAllowed reports whether interceptor i let the call pass by a decision.
func (c *Call) hasAllowed(i, passed int) bool {
	return i < passed && c.plan.entries[i].decl.Decides && (i >= 64 || c.state().abstained.Load()&(1<<i) == 0)
}

// noteEntered keeps how many interceptors an attempt has entered.
func (c *Call) noteEntered(entries int32) {
	entered := &c.state().lazy().entered
	for {
		known := entered.Load()
		if entries <= known || entered.CompareAndSwap(known, entries) {
			return
		}
	}
}

// noteRejection records the rejection by the interceptor at place i, which has returned
// err without calling next on this call. It does not if the interceptor has recorded
// one, or passes on that of an inner interceptor, which an attempt on a copy met.
func (c *Call) noteRejection(i int32, err error) {
	r := RejectionOf(err)
	if r == nil || int(i) >= len(c.plan.entries) {
		return // the handler is no interceptor
	}
	recorded, entries := c.recorded()
	for k, d := range recorded {
		if d.enforced() && (entries[k] == i || entries[k] > i && d.Reason == r.reason()) {
			return
		}
	}
	c.record(i, Decision{Interceptor: c.plan.entries[i].decl.Name, Verdict: Rejected, Reason: r.reason()})
}
