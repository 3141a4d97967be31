package hauberk

import (
	"errors"
	"slices"

	"google.golang.org/grpc"
)

// Attempt returns a copy of a client's call, for a next that runs concurrently with
// others of the same call, as in hedging. Each copy has its own response, metadata,
// options and hooks, including those registered so far; decisions and state are shared,
// except for values of [NewAttemptKey]. [FromContext] returns the copy for the context that
// its inner interceptors get. Take one copy for each such call of next, on the goroutine of Intercept, and
// pass the attempt that counts to [Call.Adopt]:
//
//	attempt := call.Attempt()
//	go func() { outcomes <- outcome{attempt, next(ctx, attempt)} }()
//
// If the method streams its responses, one attempt wins: the first that receives a
// response message, that receives the header while the application waits for it, or
// whose next returns nil, such as after a [Call.Reply] of an inner interceptor. next
// returns [ErrSuperseded] for the others, even if an inner interceptor returns nil or
// another error. Attempts of methods with client streaming cannot run concurrently: next
// fails with INTERNAL for a copy. On a server next fails with INTERNAL for every copy.
//
// Intercept must not return before all its calls of next have returned.
func (c *Call) Attempt() *Call {
	copied := c.copied()
	copied.detached = true
	return copied
}

// copied is Attempt for a next that runs on the goroutine of an adapter.
func (c *Call) copied() *Call {
	copied := &Call{
		ctx: c.ctx, copyOf: c, plan: c.plan, method: c.method, kind: c.kind, end: c.end, request: c.request,
		opts: slices.Clip(c.opts), side: c.side, counts: c.counts, captures: c.captures, leg: c.leg,
		detached: c.detached,
	}
	depth := c.nexts.depth()
	copied.nexts.set(depth, depth)
	copied.base = depth
	if own := c.prepared; own != nil {
		copied.prepared = own.again()
	}
	return copied
}

// Adopt copies the outcome of an attempt to the call: its response, metadata, counts and
// values of [NewAttemptKey].
// Call it after the attempt's next has returned, and return the error that next returned.
// It does nothing for an attempt that ended with [ErrSuperseded].
//
// attempt may also be a copy by [Call.Detach]. Several calls may adopt one, also concurrently. Adopt
// then copies the decisions too, and on a server sets the header and the trailer of the handler.
func (c *Call) Adopt(attempt *Call) {
	if attempt.wasDetached() && attempt != c {
		c.adoptDetached(attempt)
		return
	}
	if attempt == nil || attempt == c || attempt.state() != c.state() {
		return
	}
	if s, ok := attempt.end.(*clientStream); ok {
		if s.supersedes(attempt) {
			return
		}
		s.adopted(c, attempt)
	}
	c.adoptValues(attempt)
	c.response, c.borrowed = attempt.response, attempt.borrowed
	c.made, c.unsent = attempt.made, attempt.unsent
	c.adoptCounts(attempt)
	c.adoptReceived(attempt)
	from := attempt.more.Load()
	if from == nil && c.more.Load() == nil {
		return
	}
	if from == nil {
		from = new(extra) // in place of what an earlier attempt got
	}
	c.lazy().wire.Store(from.wire.Load())
	c.setReplies(from.replies)
}

// adoptReceived makes the metadata that an attempt has received that of the call.
func (c *Call) adoptReceived(attempt *Call) {
	if attempt.incoming == nil && c.incoming == nil {
		return
	}
	in := c.keepReceived()
	earlier := in.streamed()
	*in = attempt.captured()
	in.earlier = earlier || in.earlier
}

// raise keeps the panic of a concurrent attempt, which no one could recover where it
// happened, for the operation of the application.
func (c *Call) raise(v any) {
	root := c.state()
	more := root.lazy()
	root.mu.Lock()
	defer root.mu.Unlock()
	if more.raised == nil {
		more.raised = v
	}
}

// raised returns what a concurrent attempt of the call panicked with.
func (c *Call) raised() any {
	more := c.more.Load()
	if more == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return more.raised
}

// contain makes a concurrent attempt. A panic of grpc-go, such as of a codec, becomes an
// error of the attempt, and is kept for the application, unless the chain has a Guard.
func (c *Call) contain(attempt func() error) (err error, panicked bool) { //nolint:revive // as enter
	if c.plan.guard != nil {
		return attempt(), false
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			c.raise(v)
			err, panicked = errInternal("a concurrent attempt panicked"), true
		}
	}()
	err = attempt()
	returned = true
	return err, false
}

// leaveRace returns the outcome of the next at place i of a copy: ErrSuperseded if another
// attempt has won. A copy that ends with OK wins, if no other has.
func (c *Call) leaveRace(i int32, err error) error {
	s, ok := c.end.(*clientStream)
	if !ok {
		return err
	}
	if err == nil && i == c.base && c.kind.ServerStreams() {
		s.winByOutcome(c)
	}
	if s.supersedes(c) {
		return ErrSuperseded
	}
	return err
}

// Replayable keeps streamed messages, so that next can be called again. Call it before
// the first next, since messages that were sent before are not kept. Single requests are
// always kept. On a server Replayable does nothing.
//
// limit is in bytes: the size of the messages in protobuf, and 64 for each message. What
// was kept is freed, and next makes no new attempt, if the messages exceed the limit, if
// one is not protobuf, or once a response has been delivered.
//
// The hooks of this interceptor and of inner ones see a kept message once per attempt,
// those of outer interceptors once.
//
// kept reports, while next runs and after it, whether all messages that were sent are kept. If
// they are not, the current attempt is the last one. kept always returns true for methods
// without client streaming and on a server. It is safe for concurrent use.
func (c *Call) Replayable(limit int) (kept func() bool) {
	s, ok := c.end.(*clientStream)
	if !ok || !c.kind.ClientStreams() {
		return alwaysKept
	}
	l := c.draft()
	if l.buffer == nil {
		l.buffer = &replayBuffer{stream: s, gone: c.nexts.reached() > l.depth} // asked for too late
	}
	l.buffer.limit = limit
	return l.buffer.keeps
}

func alwaysKept() bool { return true }

// CanAttempt reports, after next, whether next would make a new attempt. If it would not,
// an interceptor need not wait before it calls next.
func (c *Call) CanAttempt() bool {
	return c.side == ClientSide && c.leg.broken() == nil && c.canAttempt(c.nexts.depth())
}

func (c *Call) canAttempt(i int32) bool {
	var rejection *Rejection
	return !c.nexts.over() && !errors.As(c.last, &rejection) && c.end.(caller).again(c, i)
}

// CommitOnHeader makes the response header commit a stream on a client as soon as it
// arrives, as gRFC A6 describes. Call it before next. Otherwise the header commits the
// stream when the application receives it. Each attempt then has a goroutine until its
// header arrives or it ends. The header does not commit before the attempt has sent or
// received a message. Concurrent attempts commit when the application receives from one of
// them. CommitOnHeader does nothing in a unary call, which ends with its response, and on
// a server.
func (c *Call) CommitOnHeader() { c.commits = true }

// Committed reports whether a stream on a client is committed: the application has
// received a response message, the response header or the stream's context, or the
// header has arrived and [Call.CommitOnHeader] was called. A committed call cannot be
// attempted again, except by an interceptor that resumes it ([Call.Resume]). Unary calls are
// not committed before they end; on a server Committed returns false. Safe for concurrent use.
func (c *Call) Committed() bool {
	s, ok := c.end.(*clientStream)
	return ok && s.isCommitted()
}

// Discardable returns a function that decides whether this interceptor may cancel its attempt of a stream on a
// client and make another. Call Discardable before next, and the function while next runs:
//
//	bounded, cancel := context.WithCancel(ctx)
//	defer cancel()
//	discard := call.Discardable()
//	timer := time.AfterFunc(timeout, func() {
//		if discard() {
//			cancel()
//		}
//	})
//	err := next(bounded, call)
//
// discard returns false if the call is committed (see [Call.Committed]), or if an inner interceptor has resumed it
// ([Call.Resume]): another attempt would repeat what the application has received. Otherwise nothing that is
// received from now on is delivered to the application or seen by hooks, so that it does not commit the call while
// the attempt is being cancelled. That includes attempts that inner interceptors are making, or make later, also
// concurrently. It holds until this interceptor, or an outer one, calls next again. If the server ends an attempt
// before it is cancelled, and a response was not delivered, the attempt ends with [ErrDiscarded].
//
// For other calls discard does nothing and returns true. It is safe for concurrent use.
func (c *Call) Discardable() (discard func() bool) {
	s, ok := c.end.(*clientStream)
	if !ok {
		return func() bool { return true }
	}
	place := c.nexts.depth()
	return func() bool { return s.discard(c, place) }
}

// Waiting reports whether the application is blocked on the client stream: for a message,
// the header, flow control or an attempt. A unary call always waits; on a server Waiting
// returns false. Safe for concurrent use. See also [Call.Receiving] and [Call.Sending].
func (c *Call) Waiting() bool {
	if s, ok := c.end.(*clientStream); ok {
		return s.isWaiting()
	}
	return c.side == ClientSide
}

// caller is a terminal that makes calls.
type caller interface {
	// again reports whether the interceptor whose next is at place i can make a new
	// attempt.
	again(call *Call, i int32) bool
	conn() *grpc.ClientConn
}
