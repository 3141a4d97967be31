package hauberk

import (
	"context"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"
)

// leg is one call of next by an interceptor that changed something before it: it
// registered hooks, set the method or options, or asked for replays. Legs nest as
// the interceptors do: outer is the leg around the interceptor. The next of an
// interceptor that changed nothing has no leg. A new attempt is a new leg with the
// same registrations; the legs outside of it stay as they are.
//
// The goroutine of the chain owns a leg, except for the fields that name another
// guard. docs/streams.md is the contract.
type leg struct {
	outer *leg
	host  *clientStream // nil on a server and in a unary call
	depth int32         // the place of the next
	place int           // on a client: how many legs of the host are outside

	by *entry // the interceptor; nil if another than one of the chain prepared the leg

	// What the interceptor registered. Immutable once the leg is open.
	send    []sendHook
	receive []receiveHook
	waits   bool          // one of the hooks has a context
	buffer  *replayBuffer // outside of send; shared by the legs of one interceptor
	foreign *foreign      // of an adapter, inside of the hooks; else nil
	bad     error         // what is wrong with a registration: it is the outcome of next

	before  before // what the call had before the interceptor changed it
	arrived any    // the single request in front of the hooks; unused in client streams
	used    bool   // a next has opened the leg
	late    bool   // the last hook was registered after a next
	seen    bool   // in a unary call on a server: the request has passed the hooks

	ctx    context.Context // that was given to next
	inside context.Context // of the inner interceptors; nil if it is ctx

	left    atomic.Bool             // next is returning; on a client see closed
	cancel  context.CancelCauseFunc // of the context of the inner interceptors; nil without hooks
	failure atomic.Pointer[error]   // the first error of one of the hooks
	spare   atomic.Pointer[hookRun] // for the next message

	// Guarded by the mutex of the stream.
	request any   // of a client stream: the single request as it leaves the hooks
	resumed any   // the request of Resume, in place of the one from outside
	running int32 // messages inside the hooks
	closed  bool  // next is returning: no hook starts
	over    bool  // the attempt inside has ended, and next is about to return
	passing bool  // a goroutine passes the single request through the hooks
}

// before is what an interceptor can change of a call.
type before struct {
	method  *Method
	opts    []grpc.CallOption
	request any
}

// foreign is what an interceptor of grpc-go passes on, behind an adapter.
type foreign struct {
	stream grpc.ServerStream // on a server
	conn   *grpc.ClientConn  // on a client; nil for that of the call
	reply  any               // of a unary call on a client: the message to decode the response into
}

// connection returns the connection that a call on a client goes to: the one that the
// innermost adapter passes on, or that of the call; nil if that is not grpc-go's.
func (l *leg) connection(own *grpc.ClientConn) *grpc.ClientConn {
	for ; l != nil; l = l.outer {
		if l.foreign != nil && l.foreign.conn != nil {
			return l.foreign.conn
		}
	}
	return own
}

// adapter returns the innermost leg of an adapter, this one or an outer one; nil if there is
// none.
func (l *leg) adapter() *leg {
	for l != nil && l.foreign == nil {
		l = l.outer
	}
	return l
}

// draft returns the leg that the running interceptor is preparing.
func (c *Call) draft() *leg {
	depth := c.nexts.depth()
	switch {
	case c.prepared == nil || c.prepared.depth != depth:
		c.prepared = &leg{depth: depth, before: before{c.method, c.opts, c.request}}
		if 0 < depth && int(depth) <= len(c.plan.entries) {
			c.prepared.by = c.plan.entries[depth-1]
		}
	case c.prepared.used:
		c.prepared = c.prepared.again()
	}
	return c.prepared
}

// again returns an unused leg with the same registrations.
func (l *leg) again() *leg {
	return &leg{
		depth: l.depth, by: l.by, before: l.before, buffer: l.buffer, foreign: l.foreign, bad: l.bad,
		resumed: l.resumedRequest(),
		send:    slices.Clip(l.send), receive: slices.Clip(l.receive), waits: l.waits,
	}
}

// enter begins the next at place i. answered says that nothing inside runs, and
// err is the outcome.
//
//nolint:revive // the error is the outcome of next, not a failure of enter
func (c *Call) enter(ctx context.Context, i int32) (err error, answered bool) {
	// A next that was left behind must not look at the fields of the call, which its outer interceptor writes.
	if c.nexts.isFirst(i) && c.isPlain() && c.nexts.enter(i, i) {
		return nil, false // most nexts: a first one, of an interceptor that has changed nothing
	}
	reached := c.nexts.reached()
	if c.copyOf != nil || !c.nexts.isFirst(i) {
		if err, answered := c.enterAgain(i, reached); answered {
			return err, true
		}
	}
	if !c.nexts.enter(i, reached) {
		return c.misplaced(i), true
	}
	if c.fresh {
		c.takeBackReply()
	}
	if c.leg != nil || c.prepared != nil {
		if err := c.openLeg(ctx, i); err != nil {
			c.nexts.set(i, reached)
			c.last = err
			return err, true
		}
	}
	if c.copyOf != nil {
		c.noteEntered(i + 1)
	}
	return nil, false
}

// isPlain reports whether the call is no copy, and no interceptor around the place of its nexts has changed
// anything.
func (c *Call) isPlain() bool {
	return c.copyOf == nil && c.leg == nil && c.prepared == nil && !c.fresh
}

// enterAgain decides on a next that is not the plain first one at its place.
//
//nolint:revive // as enter
func (c *Call) enterAgain(i, reached int32) (err error, answered bool) {
	switch {
	case c.nexts.depth() == i && reached > i && c.nexts.over():
		return c.last, true // an inner next was left behind, or a panic has left it
	case c.nexts.over() || c.state().nexts.over() || c.nexts.depth() != i:
		return c.misplaced(i), true
	case c.detached && c.side == ServerSide:
		return errInternal("next was called with a copy of a call on a server: a server runs its handler once"), true
	case reached > i:
		return c.retry(i, reached)
	}
	if end, ok := c.end.(*clientStream); ok { // the first next of a copy
		end.beginsAgain(c, i)
	}
	return nil, false
}

// misplaced says what is wrong with a next at place i.
func (c *Call) misplaced(i int32) error {
	switch depth := c.nexts.depth(); {
	case c.nexts.over() || c.state().nexts.over():
		return errInternal("next was called after its call had ended")
	case depth < i:
		return errInternal("next was called after its interceptor had returned")
	case depth == i: // it was not, a moment ago
		return errInternal("next was called twice at once")
	default:
		return errInternal("next was called while it was still running: " +
			"overlapping attempts run on copies, see Call.Attempt")
	}
}

// retry decides on a second next at place i.
//
//nolint:revive // as enter
func (c *Call) retry(i, reached int32) (err error, answered bool) {
	if c.side == ServerSide {
		return errTwice(), true
	}
	if failure := c.leg.broken(); failure != nil {
		return failure, true
	}
	if !c.canAttempt(i) {
		return c.last, true
	}
	if end, ok := c.end.(*clientStream); ok {
		end.restartFrom(c.prepared)
		end.beginsAgain(c, i)
		end.reopenRace(c)
	}
	c.noteEntered(reached)
	c.response, c.made, c.unsent = nil, false, false
	c.resetCounts()
	if c.incoming != nil {
		c.incoming.reset()
	}
	if more := c.more.Load(); more != nil {
		more.wire.Store(nil)
	}
	return nil, false
}

func errTwice() error { return errInternal("next was called twice: a server runs its handler once") }

// openLeg opens the leg of the next at place i, if its interceptor prepared one.
func (c *Call) openLeg(ctx context.Context, i int32) error {
	if err := c.leg.broken(); err != nil {
		return err
	}
	l := c.prepared
	if l == nil || l.depth != i {
		return nil
	}
	if l.bad != nil {
		return l.bad
	}
	if l.used {
		l = l.again()
	}
	l.ctx, l.used, l.outer, l.arrived = ctx, true, c.leg, c.request
	if s, ok := c.end.(*clientStream); ok {
		l.host = s
		if l.outer != nil && l.outer.host == s {
			l.place = l.outer.place + 1
		}
	}
	c.leg, c.prepared = l, nil
	if err := c.passRequest(l); err != nil {
		c.leg, c.prepared = l.outer, l
		return c.unlessDropped(err)
	}
	return nil
}

// begin returns the context of what runs inside a leg. That of a client stream's
// leg with hooks ends when a hook fails, or next is about to return.
func (l *leg) begin(ctx context.Context) context.Context {
	if l.host != nil && len(l.send)+len(l.receive) > 0 {
		ctx, l.cancel = context.WithCancelCause(ctx)
		l.inside = ctx
	}
	return ctx
}

// during returns the context of hooks that run while next does.
func (l *leg) during() context.Context {
	if l.inside != nil {
		return l.inside
	}
	return l.ctx
}

// leave ends the next at place i: what was registered inside is undone, and the
// hooks of the leg see what is held.
func (c *Call) leave(i int32, err error) error {
	if err == nil && c.nexts.depth() == i+1 && c.isPlain() && c.response != nil && !c.method.unguarded {
		c.last = nil
		c.nexts.leave(i)
		return nil // most nexts: there is nothing to undo or to check
	}
	if err != nil {
		err = usable(err, c.nameOf(i))
	}
	if c.nexts.depth() != i+1 {
		return c.leaveLate(i, err)
	}
	if c.leg != nil || c.prepared != nil {
		err = c.closeLeg(i, err)
	}
	if c.fresh {
		err = c.leaveReply(err)
	}
	if err == nil {
		err = c.checkAnswer(i)
	}
	if c.copyOf != nil {
		err = c.leaveRace(i, err)
	}
	if err != nil {
		err = c.failing(err)
		c.response, c.borrowed = nil, false
		c.setReplies(nil)
		if c.nexts.reached() == i+1 {
			c.noteRejection(i, err)
			c.noteUnsent(err)
		}
	}
	c.last = err
	c.nexts.leave(i) // from here on another next may begin
	return err
}

// leaveLate ends a next that was not the innermost one that runs: an interceptor
// has returned while its next was running on another goroutine. The call is over,
// with what the interceptor returned; the next that was left behind changes nothing.
func (c *Call) leaveLate(i int32, err error) error {
	if c.nexts.depth() <= i {
		return errInternal("the interceptor had returned before its next did: Intercept must not return earlier")
	}
	if err == nil {
		err = errInternal("an interceptor returned while its next was running on another goroutine")
	}
	c.nexts.end()
	c.last = err
	c.nexts.setDepth(i)
	switch end := c.end.(type) {
	case *clientStream:
		end.abandon(err)
	case *serverStream:
		end.returned.Store(true) // the handler that was left behind
	}
	c.closeLegsFrom(i)
	return err
}

// closeLegsFrom ends the legs that were left behind, from the inside to the one of
// the next at place i. First it ends what may hold up their hooks.
func (c *Call) closeLegsFrom(i int32) {
	if own := c.prepared; own != nil && own.depth > i {
		own.buffer.close()
	}
	for l := c.leg; l != nil && l.depth > i; l = l.outer {
		l.buffer.close()
	}
	if c.prepared != nil && c.prepared.depth != i {
		c.prepared = nil
	}
	l := c.leg
	for ; l != nil && l.depth >= i; l = l.outer {
		l.left.Store(true)
		if l.host != nil {
			l.host.closeLeg(l)
		}
		if l.depth == i {
			c.prepared = l // its buffer is closed when its interceptor returns
		}
	}
	if c.leg != l { // else the next that was left behind may be reading it
		c.leg = l
	}
}

// closeLeg ends the leg of the next at place i, if it has one, and takes back what
// the interceptor inside had prepared.
func (c *Call) closeLeg(i int32, err error) error {
	if inner := c.prepared; inner != nil && inner.depth > i {
		if c.side == ClientSide { // on a server a handler that was left behind may read them
			c.restore(inner.before)
		}
		c.prepared = nil
		inner.buffer.close()
		if err == nil && inner.late && !inner.used && !c.nexts.over() { // else an interceptor left behind may have
			err = c.errLateHook(i)
		}
	}
	l := c.leg
	if l == nil || l.depth != i {
		return err
	}
	l.left.Store(true)
	if l.host != nil {
		l.host.closeLeg(l)
	}
	c.leg, c.prepared = l.outer, l
	if c.side == ClientSide {
		c.request = l.arrived
	}
	if failure := l.failed(); failure != nil {
		err = failure
	}
	if err == nil {
		err = c.outward(l)
	}
	return err
}

// restore takes back what an interceptor has changed. A hook of an outer one may be reading the method.
func (c *Call) restore(b before) {
	if c.opts, c.request = b.opts, b.request; c.method != b.method {
		c.method = b.method
	}
}
