package hauberk

import "context"

// SendHook sees each message that this side sends: a client's requests, a
// server's responses. It passes on what is to be sent by calling emit, never,
// once or several times, before it returns. msg belongs to the application;
// change a clone of it. An error, its own or one that emit returned, ends the
// call with that error's status, also if the hook does not pass it on.
type SendHook func(msg any, emit func(msg any) error) error

// ReceiveHook sees each message that this side receives: a server's requests, a
// client's responses. It may change msg in place. With keep false the message is
// dropped, as if it had never come. An error ends the call with its status.
type ReceiveHook func(msg any) (keep bool, err error)

// OnSend registers a hook, before next, for the calls of next that follow. The
// hooks of a chain stand in the order of its links, the wire outside on a server
// and inside on a client. What the hooks of methods with a single request or
// response make of it must be exactly one message; anything else ends the call
// with INTERNAL.
//
// Hooks of one call run one after the other in each direction; the two
// directions may run beside each other. On a streaming client they run on the
// application's goroutines, on a streaming server on the handler's. No hook runs
// once next has returned, unless a handler leaves a goroutine in SendMsg behind.
func (c *Call) OnSend(hook SendHook) {
	more := c.touch(c.where().depth())
	more.send = append(more.send, sendHook{run: hook})
}

// OnReceive registers a hook, before next, for the calls of next that follow. See
// [Call.OnSend].
func (c *Call) OnReceive(hook ReceiveHook) {
	more := c.touch(c.where().depth())
	more.receive = append(more.receive, hook)
}

// hooks are those of the links that are running, outermost first.
type hooks struct {
	send    []sendHook
	receive []ReceiveHook
	applied int   // on a client: how many of send the single request has passed
	read    int   // on a server: how many of receive the single request has passed
	failure error // see Call.fail; guarded by the call's mutex
}

// sendHook is a hook, or a place where sent messages are kept for a replay.
type sendHook struct {
	run SendHook
	tap *tap
}

// undo takes back what was registered since m. Attempts may still hold the
// slices, so that their arrays are not written again.
func (h *hooks) undo(m *mark) {
	h.send = h.send[:m.send:m.send]
	h.receive = h.receive[:m.receive:m.receive]
	h.applied = m.applied
}

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

// fail keeps the first error that ends the call whatever a handler or a link
// makes of it: that of a hook, or of a wrong Reply.
func (c *Call) fail(err error) {
	more := c.lazy()
	c.mu.Lock()
	defer c.mu.Unlock()
	if more.failure == nil {
		more.failure = err
	}
}

// failed returns the error that fail has kept.
func (c *Call) failed() error {
	more := c.more.Load()
	if more == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return more.failure
}

// forgive lets a call go on that was to fail.
func (c *Call) forgive(more *extra) {
	c.mu.Lock()
	defer c.mu.Unlock()
	more.failure = nil
}

// guarded runs hooks on the chain's goroutine, under its guard.
func (c *Call) guarded(hooks func() error) error {
	if c.plan.guard == nil {
		return hooks()
	}
	return c.plan.guarded(func(context.Context, *Call) error { return hooks() })(&c.ctx, c)
}

// applyOnWayIn shows a client's single request to the hooks registered since the
// last next was entered.
func (c *Call) applyOnWayIn(more *extra, i int32) error {
	if c.side == ServerSide {
		return nil
	}
	c.forgive(more) // what an earlier attempt did
	if len(more.send) == more.applied || c.kind.ClientStreams() || c.request == nil {
		return nil
	}
	c.touch(i + 1)
	return c.guarded(func() error {
		request, err := passOne(more.send[more.applied:], true, c.request, "request")
		if err == nil {
			c.request, more.applied = request, len(more.send)
		}
		return err
	})
}

// applyOnWayOut shows what the link that returns has left to be answered to the
// hooks it had registered, unless it is the link's own reply.
func (c *Call) applyOnWayOut(more *extra, m *mark, err error) error {
	if err == nil && c.fresh {
		c.forgive(more) // the link answers otherwise
		return nil
	}
	if err == nil {
		err = c.failed()
	}
	if err == nil {
		err = c.outward(more, m)
	}
	if err != nil {
		more.replies = nil
	}
	return err
}

// outward passes what is held through the hooks registered since m.
func (c *Call) outward(more *extra, m *mark) error {
	if len(more.send) == m.send && len(more.receive) == m.receive || c.response == nil && len(more.replies) == 0 {
		return nil
	}
	return c.guarded(func() (err error) {
		if c.response != nil {
			c.response, err = c.outwardOne(more, m, c.response)
		}
		if err == nil && len(more.replies) > 0 {
			more.replies, err = c.outwardAll(more, m, more.replies)
		}
		return err
	})
}

// outwardOne passes one held response through the hooks registered since m.
func (c *Call) outwardOne(more *extra, m *mark, msg any) (any, error) {
	if c.side == ServerSide {
		return passOne(more.send[m.send:], false, msg, "response")
	}
	keep, err := accept(more.receive[m.receive:], false, msg)
	if err == nil && !keep {
		err = errInternal("a receive hook dropped the single response")
	}
	if err != nil {
		return nil, err
	}
	return msg, nil
}

// outwardAll passes replies of a method with server streaming through the hooks
// registered since m.
func (c *Call) outwardAll(more *extra, m *mark, msgs []any) (out []any, err error) {
	keepIt := func(msg any) error {
		out = append(out, msg)
		return nil
	}
	for _, msg := range msgs {
		if c.side == ServerSide {
			err = pass(more.send[m.send:], false, msg, keepIt)
		} else if keep, refused := accept(more.receive[m.receive:], false, msg); keep && refused == nil {
			err = keepIt(msg)
		} else {
			err = refused
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
