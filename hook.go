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

// applied runs hooks on the chain's goroutine, as deep as the handler, so that what
// they decide is not taken for a verdict of the link that stands there.
func (c *Call) applied(hooks func() error) error {
	at := c.where()
	c.moveTo(flowAt(int32(len(c.plan.links))+1, at.reached()))
	defer c.moveTo(at)
	return c.guarded(hooks)
}

// guarded runs code of a link under the chain's guard.
func (c *Call) guarded(hooks func() error) error {
	if c.plan.guard == nil {
		return hooks()
	}
	return c.plan.guarded(func(context.Context, *Call) error { return hooks() })(&c.ctx, c)
}
