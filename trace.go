package hauberk

// Decisions returns the verdicts on the call so far, in the order of the links, and
// of one link in the order of time: those that were recorded, and one that allowed
// the call for each deciding link ([Declaration.Decides]) that called next and
// recorded nothing, unless it abstained or stands under a [When] that does not
// hold. What hooks recorded under names that no link has stands last. The result
// is the caller's. Safe for concurrent use.
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
	reached := max(c.state().entered.Load(), (c.where() &^ over).reached())
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

// noteRefusal records the refusal of the link at place i, which has returned err
// without calling next on this call, unless it has recorded one, or passes on that
// of a link further in, which an attempt on a copy met.
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
	c.Decide(Decision{Verdict: Refused, Reason: r.reason})
}
