package hauberk

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
	return c.applied(func() error {
		request, err := passOne(more.send[more.applied:], true, c.request, "request")
		if err == nil {
			c.request, more.applied = request, len(more.send)
		}
		return err
	})
}

// applyOnWayOut shows what is left to be answered when a next returns to the hooks
// of the link that called it, those registered since m.
func (c *Call) applyOnWayOut(more *extra, m *mark, err error) error {
	if err == nil && c.fresh {
		c.forgive(more) // the link inside answers otherwise
	}
	if err == nil {
		err = c.failed()
	}
	if err == nil {
		err = c.outward(more, m)
	}
	if err != nil {
		c.setReplies(nil)
	}
	return err
}

// setReplies holds replies of a method with server streaming, in place of others.
func (c *Call) setReplies(msgs []any) {
	c.lazy().replies = msgs
	c.replied.Store(int32(len(msgs)))
}

// outward passes what is held through the hooks registered since m.
func (c *Call) outward(more *extra, m *mark) error {
	if len(more.send) == m.send && len(more.receive) == m.receive || c.response == nil && len(more.replies) == 0 {
		return nil
	}
	return c.applied(func() (err error) {
		if c.response != nil {
			c.response, err = c.outwardOne(more, m, c.response)
		}
		if err == nil && len(more.replies) > 0 {
			var replies []any
			replies, err = c.outwardAll(more, m, more.replies)
			c.setReplies(replies)
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
