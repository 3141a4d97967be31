package streamsim

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
)

// repeats is the number of runs of a program to find out whether it breaks a rule, since simultaneous
// events happen in any order.
const repeats = 3

// minimize returns a smaller program that breaks the same rule, and its run.
func minimize(t *testing.T, p *program, w *world, r rule) (*program, *world) {
	budget := 3000
	if r == ruleLock {
		budget = 60 // each takes two looks
	}
	first := w.first(r)
	smallest := p.smallest(budget, func(smaller *program) bool {
		found := breaks(t, smaller, first)
		if found != nil {
			w = found
		}
		return found != nil
	})
	return smallest, w
}

// breaks runs a program several times and returns a run with a violation like v.
func breaks(t *testing.T, p *program, v violation) *world {
	for range repeats {
		if w := explore(t, p); w.first(v.rule).form == v.form {
			return w
		}
	}
	return nil
}

// first returns the first violation of a rule.
func (w *world) first(r rule) violation {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.violations {
		if v.rule == r {
			return v
		}
	}
	return violation{}
}

// minimizeCrash is minimize for programs that end the process.
func minimizeCrash(t *testing.T, p *program, output string) (*program, string) {
	smallest := p.smallest(300, func(smaller *program) bool {
		_, crashed, out := child(t.Context(), t, job{Program: smaller})
		if crashed {
			output = out
		}
		return crashed
	})
	return smallest, output
}

// smallest removes parts of a program as long as it fails. It runs at most budget programs.
func (p *program) smallest(budget int, fails func(*program) bool) *program {
	for again := true; again; {
		again = false
		for i := 0; budget > 0; i++ {
			smaller, ok := p.without(i)
			if !ok {
				break
			}
			budget--
			if fails(smaller) {
				p, again = smaller, true
				i--
			}
		}
	}
	return p
}

func (p *program) clone() *program {
	c := *p
	c.Interceptors = slices.Clone(p.Interceptors)
	c.Attempts = slices.Clone(p.Attempts)
	for i := range c.Attempts {
		c.Attempts[i].Events = slices.Clone(c.Attempts[i].Events)
	}
	c.Sender = slices.Clone(p.Sender)
	c.Receiver = slices.Clone(p.Receiver)
	return &c
}

// without returns the program with its i-th part removed or simplified. It reports whether there is
// such a part.
func (p *program) without(i int) (*program, bool) {
	c := p.clone()
	for range 1 {
		// Larger parts come first.
		if i < len(c.Interceptors) {
			c.Interceptors = slices.Delete(c.Interceptors, i, i+1)
			return c, true
		}
		i -= len(c.Interceptors)
		if len(c.Attempts) > 1 {
			if i < len(c.Attempts) {
				c.Attempts = slices.Delete(c.Attempts, i, i+1)
				return c, true
			}
			i -= len(c.Attempts)
		}
		if c.Receiver != nil {
			if i == 0 {
				c.Sender, c.Receiver = append(c.Sender, c.Receiver...), nil
				return c, true
			}
			i--
		}
		for _, list := range []*[]step{&c.Sender, &c.Receiver} {
			if i < len(*list) {
				*list = slices.Delete(*list, i, i+1)
				return c, true
			}
			i -= len(*list)
		}
		for k := range c.Attempts {
			events := c.Attempts[k].Events
			if i < len(events) {
				c.Attempts[k].Events = slices.Delete(events, i, i+1)
				return c, true
			}
			i -= len(events)
		}
	}
	var edits []func()
	edit := func(cond bool, f func()) {
		if cond {
			edits = append(edits, f)
		}
	}
	edit(c.Deadline > 0, func() { c.Deadline = 0 })
	edit(c.Options, func() { c.Options = false })
	edit(c.Finish, func() { c.Finish = false })
	tidy := p.Tidy && p.transparent() // equal times would make the comparison pointless
	for k := range c.Attempts {
		s := &c.Attempts[k]
		edit(s.OpenDelay > 0, func() { s.OpenDelay = 0 })
		edit(s.Window > 0, func() { s.Window = 0 })
		edit(s.FailSend > 0, func() { s.FailSend = 0 })
		edit(s.PanicSend > 0, func() { s.PanicSend = 0 })
		edit(s.PanicRecv > 0, func() { s.PanicRecv = 0 })
		edit(s.PanicOpen, func() { s.PanicOpen = false })
		edit(s.Reject != codes.OK, func() { s.Reject = codes.OK })
		for e := range s.Events {
			ev := &s.Events[e]
			edit(ev.After > 0 && !tidy, func() { ev.After = 0 })
			edit(ev.N > 1, func() { ev.N-- })
		}
	}
	for _, list := range []*[]step{&c.Sender, &c.Receiver} {
		for k := range *list {
			st := &(*list)[k]
			edit(st.After > 0 && !tidy, func() { st.After = 0 })
			edit(st.Big, func() { st.Big = false })
		}
	}
	for k := range c.Interceptors {
		l := &c.Interceptors[k]
		edit(l.Kind != interceptorPlain, func() { *l = interceptor{Kind: interceptorPlain} })
		edit(l.Kind == interceptorRetry && l.D > 0, func() { l.D = 0 })
		edit(l.N > 1, func() { l.N-- })
	}
	if i >= len(edits) {
		return nil, false
	}
	edits[i]()
	return c, true
}
