package hauberk

import (
	"context"
	"runtime/debug"
)

// SendHook sees each message that this side sends: a client's requests, a server's
// responses. It calls emit for each message to send, zero or more times, before it
// returns. msg belongs to the application; change a clone of it. emit does not keep a
// message after it has returned, so a hook may change a message and emit it again.
//
// emit returns the error of the inner hooks (on a server the outer ones) or of the
// transport: io.EOF on a client if the call no longer takes messages. That error counts,
// even if the hook returns another. An error of the hook itself ends the call with its
// status, as described at [Call.OnSend].
type SendHook func(msg any, emit func(msg any) error) error

// ReceiveHook sees each message that this side receives: a server's requests, a client's
// responses. It may change msg in place. If keep is false, the message is dropped, as if
// it had not arrived; see also [Call.ReadFirst]. An error ends the call with its status.
type ReceiveHook func(msg any) (keep bool, err error)

// OnSend registers a hook for later calls of next. A hook that is registered after the
// last call of next sees no message, so the call ends with INTERNAL.
//
// The hooks of a chain run in the order of its interceptors: on a client from the
// outermost to the innermost, on a server in the reverse order. If a method has a single
// request or response, its hooks must emit exactly one message; anything else ends the
// call with INTERNAL.
//
// An error of a hook belongs to the interceptor that registered it: its next returns that
// error, even if an inner interceptor returns another. The inner interceptors are
// cancelled and cannot attempt again.
//
// The hooks of a call run one after the other in each direction; the two directions run
// concurrently. On a client's stream they run on the application's goroutines or, in a
// replay, on that of the chain. On a server's stream they run on the handler's. No hook
// starts after next has returned.
//
// On a client next waits for a hook that is running. A hook that waits for something must
// therefore be registered with [Call.OnSendContext], and no hook may receive from the stream
// of the call. On a server next does not wait: a hook that a handler left running on another
// goroutine continues, and its result is discarded.
//
// With a nil hook next returns INTERNAL.
func (c *Call) OnSend(hook SendHook) { c.addSend(sendHook{plain: hook}, "OnSend", hook == nil) }

// OnReceive registers a hook for later calls of next. See [Call.OnSend].
func (c *Call) OnReceive(hook ReceiveHook) {
	c.addReceive(receiveHook{plain: hook}, "OnReceive", hook == nil)
}

// SendContextHook is a [SendHook] with a context: see [Call.OnSendContext].
type SendContextHook func(ctx context.Context, msg any, emit func(msg any) error) error

// ReceiveContextHook is a [ReceiveHook] with a context: see [Call.OnSendContext].
type ReceiveContextHook func(ctx context.Context, msg any) (keep bool, err error)

// OnSendContext is OnSend for a hook that waits, such as for permits. Its context is the one
// that was given to next. On a client's stream it also ends as soon as what next runs has ended:
// next then waits for the hook only as long as that takes to return. The outcome of the call is
// decided by then. If the hook returns an error after that, the error is discarded, and its
// message counts as not accepted.
func (c *Call) OnSendContext(hook SendContextHook) {
	c.addSend(sendHook{waiting: hook}, "OnSendContext", hook == nil)
}

// OnReceiveContext is OnReceive for a hook that waits. See [Call.OnSendContext].
func (c *Call) OnReceiveContext(hook ReceiveContextHook) {
	c.addReceive(receiveHook{waiting: hook}, "OnReceiveContext", hook == nil)
}

func (c *Call) addSend(hook sendHook, method string, missing bool) {
	l := c.draft()
	if l.late = c.afterNext(); missing {
		l.misuse(method)
		return
	}
	l.waits = l.waits || hook.waiting != nil
	l.send = append(l.send, hook)
}

func (c *Call) addReceive(hook receiveHook, method string, missing bool) {
	l := c.draft()
	if l.late = c.afterNext(); missing {
		l.misuse(method)
		return
	}
	l.waits = l.waits || hook.waiting != nil
	l.receive = append(l.receive, hook)
}

// sendHook is a hook with a context or without.
type sendHook struct {
	plain   SendHook
	waiting SendContextHook
}

func (h sendHook) run(ctx context.Context, msg any, emit func(any) error) error {
	if h.waiting != nil {
		return h.waiting(ctx, msg, emit)
	}
	return h.plain(msg, emit)
}

// receiveHook is a hook with a context or without.
type receiveHook struct {
	plain   ReceiveHook
	waiting ReceiveContextHook
}

func (h receiveHook) run(ctx context.Context, msg any) (keep bool, err error) {
	if h.waiting != nil {
		return h.waiting(ctx, msg)
	}
	return h.plain(msg)
}

// misuse notes that a method of the call was called with a nil function.
func (l *leg) misuse(method string) {
	if l.bad == nil {
		l.bad = errInternal("%s called Call.%s with a nil function", l.name(), method)
	}
}

// afterNext reports whether the running interceptor has called next.
func (c *Call) afterNext() bool {
	depth, reached := c.nexts.load()
	return reached > depth
}

// sink takes the messages that the send hooks of a leg have emitted.
type sink interface {
	take(l *leg, msg any) error
}

// hookRun is one message on its way through the send hooks of a leg. Its closures
// are made once; the leg keeps one hookRun for the messages that follow.
type hookRun struct {
	leg    *leg
	ctx    context.Context // of the hooks, while the message is inside
	inward bool
	sink   sink
	emits  []func(any) error // by place in the order of running
	err    error             // the first error of an inner hook or the sink
	own    bool              // err is an error of one of the leg's own hooks
}

// runSend passes a message through the send hooks of the leg to a sink, in the
// order of registration if inward, else in the reverse order. own reports whether
// the error is that of a hook of this leg.
func (l *leg) runSend(ctx context.Context, inward bool, msg any, to sink) (own bool, err error) {
	r := l.spare.Swap(nil)
	if r == nil {
		r = newHookRun(l, inward)
	}
	r.ctx, r.sink, r.err, r.own = ctx, to, nil, false
	err = r.run(0, msg)
	own = r.own
	r.ctx, r.sink, r.err = nil, nil, nil
	l.spare.Store(r)
	return own, err
}

func newHookRun(l *leg, inward bool) *hookRun {
	r := &hookRun{leg: l, inward: inward, emits: make([]func(any) error, len(l.send))}
	for i := range r.emits {
		r.emits[i] = func(msg any) error {
			if msg == nil {
				return r.note(errInternal("a send hook of %s emitted a nil message", l.name()), true)
			}
			return r.run(i+1, msg)
		}
	}
	return r
}

// run passes a message through the hooks from place i of the order on.
func (r *hookRun) run(i int, msg any) error {
	if i == len(r.emits) {
		if r.sink == nil {
			return errInternal("a send hook of %s emitted a message after it had returned", r.leg.name())
		}
		return r.note(r.sink.take(r.leg, msg), false)
	}
	at := i
	if !r.inward {
		at = len(r.emits) - 1 - i
	}
	err := r.leg.send[at].run(r.ctx, msg, r.emits[i])
	if err == nil || r.err != nil {
		return r.err // a hook cannot undo an inner failure, nor put words around it
	}
	return r.note(usable(err, r.leg.name()), true)
}

// note keeps the first error.
func (r *hookRun) note(err error, own bool) error {
	if err != nil && r.err == nil {
		r.err, r.own = err, own
	}
	return err
}

// collector is a sink for messages that are held. A hook may use a message again that it
// has emitted in place of the one that it was given, so that those are cloned.
type collector struct {
	given any // to the hooks
	msgs  []any
}

func (c *collector) take(_ *leg, msg any) error {
	if !same(msg, c.given) {
		msg = cloneMessage(msg)
	}
	c.msgs = append(c.msgs, msg)
	return nil
}

// passOne passes a message through the send hooks, which must make one of it.
func (l *leg) passOne(ctx context.Context, inward bool, msg any, what string) (any, error) {
	if len(l.send) == 0 || msg == nil {
		return msg, nil
	}
	out := collector{given: msg}
	_, err := l.runSend(ctx, inward, msg, &out)
	if err == nil && len(out.msgs) != 1 {
		err = errInternal("the send hooks of %s made %d messages of the single %s; want 1",
			l.name(), len(out.msgs), what)
	}
	if err != nil {
		return nil, err
	}
	return out.msgs[0], nil
}

// runReceive shows msg to the receive hooks of the leg, in the order of
// registration if inward, else in the reverse order, until one does not keep it.
func (l *leg) runReceive(ctx context.Context, inward bool, msg any) (keep bool, err error) {
	for i := range l.receive {
		at := i
		if !inward {
			at = len(l.receive) - 1 - i
		}
		if keep, err := l.receive[at].run(ctx, msg); err != nil || !keep {
			return false, usable(err, l.name())
		}
	}
	return true, nil
}

// keepOne shows a single message to the receive hooks, which must keep it.
func (l *leg) keepOne(ctx context.Context, inward bool, msg any, what string) error {
	keep, err := l.runReceive(ctx, inward, msg)
	if err == nil && !keep {
		err = errInternal("a receive hook of %s dropped the single %s", l.name(), what)
	}
	return err
}

// passRequest shows the single request of a client, as far as it is known, to the
// send hooks of a leg that opens.
func (c *Call) passRequest(l *leg) error {
	if c.side == ServerSide || c.kind.ClientStreams() || len(l.send) == 0 {
		return nil
	}
	if l.host != nil {
		return l.host.passKnownRequest(c, l)
	}
	return c.asHook(func() (err error) {
		c.request, err = l.passOne(l.ctx, true, c.request, "request")
		return err
	})
}

// outward shows what is held to the hooks of a leg whose next returns.
func (c *Call) outward(l *leg) error {
	if c.side == ClientSide && len(l.receive) > 0 {
		c.ownHeld()
	}
	replies := c.heldReplies()
	if len(l.send)+len(l.receive) == 0 || c.Response() == nil && len(replies) == 0 {
		return nil
	}
	return c.asHook(func() (err error) {
		if c.response != nil {
			c.response, err = c.outwardOne(l, c.response)
		}
		if err == nil && len(replies) > 0 {
			replies, err = c.outwardAll(l, replies)
			c.setReplies(replies)
		}
		return err
	})
}

func (c *Call) outwardOne(l *leg, msg any) (any, error) {
	if c.side == ServerSide {
		return l.passOne(l.ctx, false, msg, "response")
	}
	if err := l.keepOne(l.ctx, false, msg, "response"); err != nil {
		return nil, err
	}
	return msg, nil
}

func (c *Call) outwardAll(l *leg, msgs []any) ([]any, error) {
	var out collector
	for _, msg := range msgs {
		var err error
		keep := true
		out.given = msg
		switch {
		case c.side == ClientSide:
			keep, err = l.runReceive(l.ctx, false, msg)
		case len(l.send) > 0:
			_, err = l.runSend(l.ctx, false, msg, &out)
			keep = false // it is in out
		}
		if err != nil {
			return nil, err
		}
		if keep {
			_ = out.take(l, msg)
		}
	}
	return out.msgs, nil
}

// asHook runs hooks on the goroutine of the chain, under its guard. Decisions that
// they record are not those of the interceptor that is running.
func (c *Call) asHook(hooks func() error) error {
	at := c.nexts.depth()
	c.nexts.setDepth(int32(len(c.plan.entries)) + 1)
	defer c.nexts.setDepth(at)
	return c.guarded(hooks)
}

// guarded runs code of an interceptor under the chain's guard.
func (c *Call) guarded(run func() error) (err error) {
	if c.plan.guard == nil {
		return run()
	}
	returned := false
	defer c.plan.catch(&c.ctx, c, &returned, &err)
	err = run()
	returned = true
	return err
}

// guardedForeign is guarded on a goroutine of the application. It replaces an error that wraps itself, which the
// stream of an interceptor of grpc-go may return.
func (c *Call) guardedForeign(run func() error) (err error) {
	if c.plan.guard == nil {
		return usable(run(), grpcInterceptor)
	}
	returned := false
	defer c.plan.catchForeign(&c.ctx, c, &returned, &err)
	err = usable(run(), grpcInterceptor)
	returned = true
	return err
}

// catch is deferred around foreign code while the chain has a Guard. It turns a
// panic into the guard's error. The end of the goroutine by runtime.Goexit cannot be
// stopped; the chain has its Guard see it once, in guardInterceptor.
func (p *plan) catch(ctx context.Context, call *Call, returned *bool, err *error) {
	if *returned {
		return
	}
	if v := recover(); v != nil {
		*err = p.recovered(ctx, call, v)
	} else {
		*err = errGoexit()
	}
}

func errGoexit() error { return errInternal("foreign code ended its goroutine by runtime.Goexit") }

// catchForeign is catch on a goroutine of the application, where the Guard sees the
// end of the goroutine too.
func (p *plan) catchForeign(ctx context.Context, call *Call, returned *bool, err *error) {
	if *returned {
		return
	}
	v := recover()
	if v == nil {
		v = ErrGoexit
	}
	*err = p.recovered(ctx, call, v)
}

// recovered returns what the guard makes of a panic, which is never nil.
func (p *plan) recovered(ctx context.Context, call *Call, v any) error {
	if err := p.guard.Recovered(ctx, call, v, debug.Stack()); err != nil {
		return usable(err, "the Guard of the chain")
	}
	return errInternal("the Guard of the chain returned no error for a panic")
}
