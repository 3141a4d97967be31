package hauberk

import (
	"errors"

	"google.golang.org/grpc"
)

// flow is how deep a call is in its chain: how many nexts are running, and how
// many this attempt has entered. A call that has ended is over.
type flow uint64

const over = flow(1) << 63 // beside how far it has come

func flowAt(depth, reached int32) flow { return flow(uint32(reached))<<32 | flow(uint32(depth)) }

func (f flow) depth() int32   { return int32(uint32(f)) }
func (f flow) reached() int32 { return int32(f >> 32) } // negative when the call is over
func (f flow) over() bool     { return f&over != 0 }

func (c *Call) where() flow       { return flow(c.flow.Load()) }
func (c *Call) moveTo(where flow) { c.flow.Store(uint64(where)) }

// enter begins the next at place i. answered says that nothing further in is to
// run, and err is the outcome.
//
//nolint:revive // the error is the outcome of next, not a failure of enter
func (c *Call) enter(i int32) (err error, answered bool) {
	at := c.where()
	if at.depth() != i || at.reached() != i || c.root != nil {
		if err, answered := c.enterAgain(i, at); answered {
			return err, true
		}
	}
	if !c.flow.CompareAndSwap(uint64(at), uint64(flowAt(i+1, i+1))) {
		return errOverlap(), true
	}
	if c.fresh {
		c.takeBackReply()
	}
	if more := c.more.Load(); more != nil {
		if err := c.applyOnWayIn(more, i); err != nil {
			c.moveTo(at)
			c.last = err
			return err, true
		}
	}
	if c.root != nil {
		c.noteEntered(i + 1)
	}
	return nil, false
}

// enterAgain decides on a next that is not the plain first one at its place.
//
//nolint:revive // as enter
func (c *Call) enterAgain(i int32, at flow) (err error, answered bool) {
	switch {
	case at.over(), c.root != nil && c.root.where().over():
		return errInternal("next was called after its call had ended"), true
	case c.root != nil && c.side == ServerSide:
		return errInternal("next was called with a copy of a call on a server: a server runs its handler once"), true
	case at.depth() > i:
		return errOverlap(), true
	case at.depth() < i:
		return errInternal("next was called after its interceptor had returned"), true
	}
	if at.reached() > i {
		return c.retry(i)
	}
	return nil, false
}

// leave ends the next at place i: the hooks of the link inside see the held
// response, and what was registered inside is undone.
func (c *Call) leave(i int32, err error) error {
	if more := c.more.Load(); more != nil {
		err = c.unwind(more, i, err)
	}
	if err == nil && c.response == nil && !c.kind.ServerStreams() {
		err = c.needResponse()
	}
	if err != nil {
		c.response = nil
		if c.where().reached() == i+1 {
			c.noteRefusal(i, err)
		}
	}
	c.fresh = false
	c.last = err
	if i == 0 {
		c.moveTo(flowAt(0, c.where().reached()) | over)
		return err
	}
	c.moveTo(flowAt(i, c.where().reached()))
	return err
}

// retry decides on a second next at place i.
//
//nolint:revive // as enter
func (c *Call) retry(i int32) (err error, answered bool) {
	if c.side == ServerSide {
		return errInternal("next was called twice: a server runs its handler once"), true
	}
	if !c.canAttempt(i) {
		return c.last, true
	}
	c.noteEntered(c.where().reached())
	c.response = nil
	c.sent.Store(0)
	c.received.Store(0)
	if more := c.more.Load(); more != nil {
		more.incoming = received{}
		more.wire.Store(nil)
	}
	return nil, false
}

// CanAttempt reports, after next, whether next would make a new attempt, so that
// an interceptor that waits between attempts need not wait for nothing.
func (c *Call) CanAttempt() bool {
	return c.side == ClientSide && c.canAttempt(c.where().depth())
}

func (c *Call) canAttempt(i int32) bool {
	var refusal *Rejection
	return !errors.As(c.last, &refusal) && c.end.(caller).again(c, i)
}

// caller is a terminal that makes calls.
type caller interface {
	// again reports whether the link at place i-1 can make a new attempt.
	again(call *Call, i int32) bool
	conn() *grpc.ClientConn
}

// mark is what a call was before a link changed it.
type mark struct {
	depth         int32
	method        *Method
	opts          []grpc.CallOption
	request       any
	send, receive int
	applied       int
}

// touch notes what the call is, before a change at a depth, so that the change
// ends with the next that it was made under.
func (c *Call) touch(depth int32) *extra {
	more := c.lazy()
	if n := len(more.marks); n > 0 && more.marks[n-1].depth >= depth {
		return more
	}
	more.marks = append(more.marks, mark{
		depth: depth, method: c.method, opts: c.opts, request: c.request,
		send: len(more.send), receive: len(more.receive), applied: more.applied,
	})
	return more
}

// unwind takes the call back to what it was when the next at place i was entered,
// and shows what is held to the hooks of the link that called it.
func (c *Call) unwind(more *extra, i int32, err error) error {
	n := len(more.marks)
	for n > 0 && more.marks[n-1].depth > i {
		n--
	}
	if n < len(more.marks) {
		to := more.marks[n]
		c.method, c.opts, c.request = to.method, to.opts, to.request
		more.undo(&to)
		more.marks = more.marks[:n]
	}
	from := mark{send: len(more.send), receive: len(more.receive)}
	if n > 0 && more.marks[n-1].depth == i {
		from = more.marks[n-1]
	}
	return c.applyOnWayOut(more, &from, err)
}

func errOverlap() error {
	return errInternal("next was called while it was still running: " +
		"overlapping attempts run on copies, see Call.Attempt")
}
