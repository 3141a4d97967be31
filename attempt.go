package hauberk

import (
	"io"
	"slices"

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
		ctx: c.ctx, root: c.state(), plan: c.plan, method: c.method, kind: c.kind, end: c.end, request: c.request,
		opts: slices.Clip(c.opts), side: c.side, asks: c.asks,
	}
	depth := c.where().depth()
	copied.moveTo(flowAt(depth, depth))
	if more := c.more.Load(); more != nil {
		own := copied.lazy()
		own.hooks, own.marks = more.hooks, slices.Clone(more.marks)
		own.undo(&mark{send: len(more.send), receive: len(more.receive), applied: more.applied})
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
	if from == nil && c.more.Load() == nil {
		return
	}
	if from == nil {
		from = new(extra) // in place of what an earlier attempt got
	}
	more := c.lazy()
	more.incoming = from.incoming
	more.wire.Store(from.wire.Load())
	c.setReplies(from.replies)
}

// Replayable asks, before next, for the messages that the application streams to
// be kept, so that next can be called again: up to limit bytes, as protobuf
// encodes them. Beyond that, with messages that are not protobuf, or once a
// response was delivered, they are let go and next makes no new attempt. While
// they are kept the application's sends go on through a failed attempt. Single
// requests are always kept. On a server it does nothing.
func (c *Call) Replayable(limit int) {
	s, ok := c.end.(*clientStream)
	if !ok || !c.kind.ClientStreams() {
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
// As long as another attempt can replay it, or does, the end of this one is not
// the application's business.
func (t *tap) pass(msg any, _ func(any) error) error {
	clone, size := t.copy(msg)
	att, kept := t.keepInTurn(clone, size)
	if att == nil {
		return endUnless(kept)
	}
	err := pass(att.send[t.at+1:], true, msg, att.sendWire)
	if err == io.EOF {
		return endUnless(kept && t.canReplay(att))
	}
	return err
}

func endUnless(kept bool) error {
	if kept {
		return nil
	}
	return io.EOF
}

// keepInTurn keeps a message and returns the attempt to send it to now: none if
// there is none, or if that gets it by a replay.
func (t *tap) keepInTurn(clone any, size int) (att *attempt, kept bool) {
	s := t.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	kept = t.keep(clone, size)
	for !kept && s.current != nil && s.current.replays == t {
		s.cond.Wait() // what is replayed comes first
	}
	if s.current == nil || s.current.replays == t {
		return nil, kept
	}
	return s.current, kept
}

// canReplay reports whether what was kept for an attempt that has ended still has
// a way to the server.
func (t *tap) canReplay(ended *attempt) bool {
	s := t.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current != ended {
		return true
	}
	return !s.committed && !s.done && !t.dropped
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

// keep appends to what is kept, or lets all of it go. The lock is held.
func (t *tap) keep(msg any, size int) bool {
	if t.dropped {
		return false
	}
	replaying := t.stream.current != nil && t.stream.current.replays == t
	if msg != nil && t.size+size <= t.limit && (!t.stream.committed || replaying) {
		t.size += size
		t.messages = append(t.messages, msg)
		return true
	}
	t.dropped = true
	if !replaying {
		t.messages = nil
	}
	return false
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
