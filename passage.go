package hauberk

// pass sends msg through the hooks to sink, inward from the first hook to the
// last, otherwise from the last to the first.
func pass(hooks []sendHook, inward bool, msg any, sink func(any) error) error {
	p := passage{hooks: hooks, inward: inward, sink: sink}
	return p.send(0, msg)
}

// passage is one message on its way through the hooks.
type passage struct {
	hooks  []sendHook
	inward bool
	sink   func(msg any) error
	err    error // the first, of a hook or the sink
	sunk   bool  // it is the sink's
}

// send sends what the first n hooks on the way have made of the message.
func (p *passage) send(n int, msg any) error {
	if n == len(p.hooks) {
		return p.note(p.sink(msg), true)
	}
	at := n
	if !p.inward {
		at = len(p.hooks) - 1 - n
	}
	if p.hooks[at].run == nil {
		return p.send(n+1, msg)
	}
	err := p.hooks[at].run(msg, func(m any) error {
		if m == nil {
			return p.note(errInternal("a send hook emitted a nil message"), false)
		}
		return p.send(n+1, m)
	})
	if err == nil {
		return p.err // a hook cannot make good what went wrong further on
	}
	return p.note(err, false)
}

// note keeps the first error.
func (p *passage) note(err error, sunk bool) error {
	if err != nil && p.err == nil {
		p.err, p.sunk = err, sunk
	}
	return err
}

// accept shows msg to the hooks, inward from the first to the last, otherwise
// from the last to the first, until one does not keep it.
func accept(hooks []ReceiveHook, inward bool, msg any) (keep bool, err error) {
	for i := range hooks {
		at := i
		if !inward {
			at = len(hooks) - 1 - i
		}
		if keep, err := hooks[at](msg); err != nil || !keep {
			return false, err
		}
	}
	return true, nil
}

// passOne sends a message through the hooks that must come out as one.
func passOne(hooks []sendHook, inward bool, msg any, what string) (any, error) {
	if len(hooks) == 0 {
		return msg, nil
	}
	var out []any
	err := pass(hooks, inward, msg, func(m any) error {
		out = append(out, m)
		return nil
	})
	if err == nil && len(out) != 1 {
		err = errInternal("the send hooks made %d messages of the single %s; want 1", len(out), what)
	}
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// acceptOne shows a message to hooks that must keep it.
func acceptOne(hooks []ReceiveHook, msg any) error {
	keep, err := accept(hooks, true, msg)
	if err == nil && !keep {
		err = errInternal("a receive hook dropped the single request")
	}
	return err
}
