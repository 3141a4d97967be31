package hauberk

import (
	"google.golang.org/protobuf/proto"
)

// Attempt returns a copy of a client's call, for a next that runs beside others
// of the same call, as hedging does. Each copy has its own response, metadata,
// options and hooks, those registered so far included; state and decisions are
// shared. Take one copy for each such next, on the goroutine of Intercept, and
// give the outcome that counts to [Call.Adopt]:
//
//	attempt := call.Attempt()
//	go func() { outcomes <- outcome{attempt, next(ctx, attempt)} }()
//
// Of a method with server streaming the first attempt to get a response message
// delivers to the application, and so does one whose header the application
// waits for; the others end with [ErrSuperseded]. Methods with client streaming
// cannot be attempted beside themselves: next fails with INTERNAL for a copy. On
// a server next does so for every copy.
//
// Intercept must not return before all its nexts have.
func (c *Call) Attempt() *Call {
	copied := &Call{
		ctx: c.ctx, root: c.state(), plan: c.plan, method: c.method, end: c.end, request: c.request,
		opts: c.opts[:len(c.opts):len(c.opts)], side: c.side, asks: c.asks,
	}
	depth := c.where().depth()
	copied.moveTo(flowAt(depth, depth))
	if more := c.more.Load(); more != nil {
		own := copied.lazy()
		own.hooks = more.hooks
		own.undo(&mark{send: len(more.send), receive: len(more.receive), applied: more.applied})
		own.shadow = more.shadow
	}
	return copied
}

// Adopt makes the outcome of an attempt on a copy the call's own: its response,
// metadata and counts. Call it after the attempt's next has returned, and return
// the error that next returned.
func (c *Call) Adopt(attempt *Call) {
	if attempt == nil || attempt == c || attempt.state() != c.state() {
		return
	}
	c.response = attempt.response
	c.sent.Store(attempt.sent.Load())
	c.received.Store(attempt.received.Load())
	from := attempt.more.Load()
	if from == nil {
		return
	}
	more := c.lazy()
	more.incoming, more.replies = from.incoming, from.replies
}

// Replayable asks, before next, for the messages that the application streams to
// be kept, so that next can be called again: up to limit bytes, as protobuf
// encodes them. Beyond that, with messages that are not protobuf, or once a
// response was delivered, they are let go and next makes no new attempt. While
// they are kept the application's sends go on through a failed attempt. Single
// requests are always kept. On a server it does nothing.
func (c *Call) Replayable(limit int) {
	s, ok := c.end.(*clientStream)
	if !ok || !c.method.kind.ClientStreams() {
		return
	}
	depth := c.where().depth()
	more := c.touch(depth)
	t := &tap{stream: s, at: len(more.send), depth: depth, limit: limit}
	more.send = append(more.send, sendHook{run: t.pass, tap: t})
}

// tap keeps the messages that pass a place among the hooks, for a replay from
// there. Its fields are guarded by the stream's mutex.
type tap struct {
	stream   *clientStream
	at       int   // the place among the hooks
	depth    int32 // that of the link it was made for
	limit    int   // in bytes
	size     int
	messages []any
	dropped  bool
}

// pass keeps msg and sends it on through what the current attempt has further in.
func (t *tap) pass(msg any, _ func(any) error) error {
	s := t.stream
	kept, size := t.copy(msg)
	s.mu.Lock()
	t.keep(kept, size)
	for t.dropped && s.current != nil && s.current.replays == t {
		s.cond.Wait() // order: what is replayed comes first
	}
	att := s.current
	switch {
	case att == nil && t.dropped:
		s.mu.Unlock()
		return errEnded
	case att == nil, att.replays == t:
		s.mu.Unlock()
		return nil // kept: a replay sends it
	}
	s.mu.Unlock()
	return pass(att.send[t.at+1:], true, msg, att.sendWire)
}

// copy returns a clone to keep, and its size; nil if none is to be kept.
func (t *tap) copy(msg any) (any, int) {
	t.stream.mu.Lock()
	dropped := t.dropped
	t.stream.mu.Unlock()
	m, ok := msg.(proto.Message)
	if dropped || !ok {
		return nil, 0
	}
	return proto.Clone(m), proto.Size(m)
}

// keep appends to what is kept, or lets all of it go.
func (t *tap) keep(msg any, size int) {
	replaying := t.stream.current != nil && t.stream.current.replays == t
	if t.dropped {
		return
	}
	if msg == nil || t.size+size > t.limit || t.stream.committed && !replaying {
		t.dropped = true
		if !replaying {
			t.messages = nil
		}
		return
	}
	t.size += size
	t.messages = append(t.messages, msg)
}

// replay sends what is kept through a new attempt, and what the application adds
// meanwhile, until nothing is left; from then on the application sends itself.
// It holds no lock while it sends: the application may have to read first.
func (t *tap) replay(att *attempt) error {
	for {
		msg, ok := t.next(att)
		if !ok {
			return nil
		}
		if err := pass(att.send[t.at+1:], true, msg, att.sendWire); err != nil {
			return err
		}
	}
}

// next returns the next message to replay; without one the replay is over.
func (t *tap) next(att *attempt) (msg any, ok bool) {
	s := t.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if att.replayed < len(t.messages) && !att.ended {
		att.replayed++
		return t.messages[att.replayed-1], true
	}
	att.replays = nil
	if t.dropped {
		t.messages = nil
	}
	if s.closed && !att.ended {
		att.closeAfterReplay = true
	}
	s.cond.Broadcast()
	return nil, false
}
