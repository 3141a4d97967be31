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

// decisions are the verdicts that links recorded. They are only added to.
type decisions struct {
	list  []Decision
	links []int32 // for each the place of its link in the plan, or -1
}

// maxDecisions bounds what a call keeps of its decisions of any sort, and beyond
// them of enforced refusals.
const maxDecisions = 128

// add keeps a verdict, as long as there is room.
func (ds *decisions) add(d Decision, at int32) {
	room := maxDecisions
	if d.enforced() {
		room *= 2
	}
	if len(ds.list) < room {
		ds.list = append(ds.list, d)
		ds.links = append(ds.links, at)
	}
}

// enforced reports whether a decision is a refusal that stands.
func (d *Decision) enforced() bool { return d.Verdict == Refused && !d.Shadow }

// Decide records a verdict. Inside [Shadow] it is recorded as not enforced. A
// decision without a Link gets the name of the link that is running ([Named], or
// that of its Declaration), which a hook has to give itself. Safe for concurrent
// use.
//
// A call keeps its first 128 decisions, and of the later ones enforced refusals,
// up to 256 in all: a stream whose messages are decided on may go on for ever.
//
// To admit a call a link need not record anything, and to refuse it no more than
// return a [Rejection] in place of calling next: see [Call.Decisions].
func (c *Call) Decide(d Decision) { c.record(c.decider(&d), d) }

// record keeps the verdict of the interceptor at a place, or -1.
func (c *Call) record(at int32, d Decision) {
	root := c.state()
	more := root.lazy()
	root.mu.Lock()
	defer root.mu.Unlock()
	if c.dryRun != nil {
		d.Shadow = true
		c.dryRun.recorded = c.dryRun.recorded || d.Verdict == Refused
	}
	more.decisions.add(d, at)
}

// decider returns the place of the link that decides, or -1, and names it where
// the decision does not. A hook may run while another link does.
func (c *Call) decider(d *Decision) int32 {
	at := c.runningLink()
	switch {
	case at >= 0 && d.Link == "":
		d.Link = c.plan.links[at].decl.Name
	case at < 0 || d.Link != c.plan.links[at].decl.Name:
		if named := c.plan.linkNamed(d.Link); named >= 0 {
			return named
		}
	}
	return at
}

// runningLink returns the place of the link that is running, or -1 within hooks
// and the handler.
func (c *Call) runningLink() int32 {
	depth := c.depth.Load()
	if c.over.Load() || depth == 0 || int(depth) > len(c.plan.links) {
		return -1
	}
	return depth - 1
}

func (p *plan) linkNamed(name string) int32 {
	return int32(slices.IndexFunc(p.links, func(l *link) bool { return l.decl.Name == name }))
}

// Abstain says, before next, that a link that decides ([Declaration.Decides]) does
// not decide on this call, which it lets pass. It counts for the first 64 links of
// a chain. Safe for concurrent use.
func (c *Call) Abstain() {
	if at := c.runningLink(); at >= 0 && at < 64 {
		c.state().abstained.Or(1 << at)
	}
}

// Recorded returns the verdicts that links recorded, in the order in which they
// did, without those of links that just let the call pass: in practice the
// refusals, enforced or not. It costs no allocation, and the result is not to be
// changed. Safe for concurrent use.
func (c *Call) Recorded() []Decision {
	root := c.state()
	more := root.more.Load()
	if more == nil {
		return nil
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	return slices.Clip(more.decisions.list)
}

// Decisions returns the verdicts on the call so far, in the order of the interceptors,
// and those of one interceptor in the order of time:
//
//   - the recorded ones; those that hooks recorded under other names than an
//     interceptor's come last;
//   - one that allowed the call for each deciding interceptor ([Declaration.Decides])
//     that called next and recorded nothing, unless it abstained or is under a [When]
//     that does not hold.
//
// The caller owns the result. Safe for concurrent use.
func (c *Call) Decisions() []Decision {
	recorded, links := c.recorded()
	passed := c.passed()
	var all []Decision
	for i := range c.plan.links {
		before := len(all)
		all = appendOf(all, recorded, links, int32(i))
		if len(all) == before && c.hasAllowed(i, passed) {
			l := c.plan.links[i]
			all = append(all, Decision{Link: l.decl.Name, Verdict: Allowed, Shadow: l.shadow})
		}
	}
	return appendOf(all, recorded, links, -1)
}

func (c *Call) recorded() (list []Decision, links []int32) {
	root := c.state()
	more := root.more.Load()
	if more == nil {
		return nil, nil
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	return more.decisions.list, more.decisions.links
}

func appendOf(all, recorded []Decision, links []int32, at int32) []Decision {
	for k, d := range recorded {
		if links[k] == at {
			all = append(all, d)
		}
	}
	return all
}

// passed returns how many links have called next, in any attempt.
func (c *Call) passed() int {
	reached := max(c.state().entered.Load(), c.reached.Load())
	return int(reached) - 1 // the one that was entered last has not
}

// hasAllowed reports whether link i let the call pass by a decision.
func (c *Call) hasAllowed(i, passed int) bool {
	return i < passed && c.plan.links[i].decl.Decides && (i >= 64 || c.state().abstained.Load()&(1<<i) == 0)
}

// noteEntered keeps how many links an attempt has entered.
func (c *Call) noteEntered(links int32) {
	root := c.state()
	for {
		known := root.entered.Load()
		if links <= known || root.entered.CompareAndSwap(known, links) {
			return
		}
	}
}

// noteRefusal records the rejection by the interceptor at place i, which has returned
// err without calling next on this call. It does not if the interceptor has recorded
// one, or passes on that of an inner interceptor, which an attempt on a copy met.
func (c *Call) noteRefusal(i int32, err error) {
	r := RejectionOf(err)
	if r == nil || int(i) >= len(c.plan.links) {
		return // the handler is no link
	}
	recorded, links := c.recorded()
	for k, d := range recorded {
		if d.enforced() && (links[k] == i || links[k] > i && d.Reason == r.reason) {
			return
		}
	}
	c.record(i, Decision{Link: c.plan.links[i].decl.Name, Verdict: Refused, Reason: r.reason})
}
