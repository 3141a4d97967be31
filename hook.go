package hauberk

// SendHook sees each message that this side sends: a client's requests, a
// server's responses. It passes on what is to be sent by calling emit, never,
// once or several times, before it returns. msg belongs to the application;
// change a clone of it. An error, its own or one that emit returned, ends the
// call with that error's status.
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
// application's goroutines.
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
	applied int // on a client: how many of send the single request has passed
	read    int // on a server: how many of receive the single request has passed
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
	if len(hooks) == 0 {
		return sink(msg)
	}
	at, rest := 0, hooks[1:]
	if !inward {
		at, rest = len(hooks)-1, hooks[:len(hooks)-1]
	}
	if hooks[at].run == nil {
		return pass(rest, inward, msg, sink)
	}
	return hooks[at].run(msg, func(m any) error {
		if m == nil {
			return errInternal("a send hook emitted a nil message")
		}
		return pass(rest, inward, m, sink)
	})
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

// applyOnWayIn shows a client's single request to the hooks registered since the
// last next was entered.
func (c *Call) applyOnWayIn(more *extra, i int32) error {
	if c.side == ServerSide || len(more.send) == more.applied || c.method.kind.ClientStreams() || c.request == nil {
		return nil
	}
	c.touch(i + 1)
	request, err := passOne(more.send[more.applied:], true, c.request, "request")
	if err != nil {
		return err
	}
	c.request, more.applied = request, len(more.send)
	return nil
}

// applyOnWayOut shows what the link that returns has left to be answered to the
// hooks it had registered, unless it is the link's own reply.
func (c *Call) applyOnWayOut(more *extra, m *mark, err error) error {
	own := c.fresh
	if err != nil {
		more.replies = nil
		return err
	}
	if own {
		return nil
	}
	if c.response != nil {
		if c.response, err = c.outward(more, m, c.response); err != nil {
			return err
		}
	}
	if len(more.replies) == 0 {
		return nil
	}
	more.replies, err = c.outwardAll(more, m, more.replies)
	return err
}

// outward passes one held response through the hooks registered since m.
func (c *Call) outward(more *extra, m *mark, msg any) (any, error) {
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
