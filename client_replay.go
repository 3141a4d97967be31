package hauberk

import (
	"context"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/internal/protomessage"
)

// replayOverhead is what each kept message counts beyond its encoded size, in bytes.
const replayOverhead = 64

// replayBuffer keeps the messages that the application streams, at the place of one
// interceptor, outside of its hooks. It feeds the attempts made under that
// interceptor and no others. The mutex of the stream guards it.
type replayBuffer struct {
	stream   *clientStream
	limit    int
	size     int
	messages []any
	fed      int  // how many attempts were fed from it
	gone     bool // something is not kept, or was freed: no further attempt
	closed   bool // the interceptor has returned
}

// pass sends a message of the application to the attempt under the buffer, and
// keeps it. It returns when the attempt has taken the message, or a later one by a
// replay, or none can. k is the place of the buffer's leg.
func (b *replayBuffer) pass(k int, msg any) error {
	clone, size := b.clone(msg)
	a, fed, kept := b.admit(k, clone, size)
	if a == nil {
		return io.EOF
	}
	err := io.EOF
	if !a.rejects() {
		err = a.sendInside(k, msg)
	}
	var tried *attempt
	seen := fed
	for kept && err != nil {
		if isEOF(err) && !b.ends(fed, tried) && b.giveUp(seen) {
			return io.EOF // the application has to receive the end
		}
		if tried, seen = b.awaitNext(k, fed, tried, err); tried == nil {
			b.giveUp(seen)
			return err
		}
		err = nil
		if tried.rejects() {
			err = io.EOF
		}
	}
	return err
}

// ends finds out whether the attempt that took no message has ended. That need not
// be the one that the message was first sent to: an inner interceptor may have made
// others. tried is the one whose replay failed.
func (b *replayBuffer) ends(fed int, tried *attempt) bool {
	s := b.stream
	s.mu.Lock()
	a := s.latest
	further := b.fed != fed && a != tried
	s.mu.Unlock()
	switch {
	case further:
		return true
	case a.adapted:
		return a.endsInside()
	default:
		return b.endsReceived(a)
	}
}

// endsReceived receives the end of an attempt on the transport after a message has met
// it, and reports whether the attempt has ended. If another goroutine receives, that is
// no proof of the end: it may find a message, which commits the call.
func (b *replayBuffer) endsReceived(a *attempt) bool {
	s := b.stream
	s.mu.Lock()
	receiving := func() bool { return s.receiving && s.current == a }
	s.awaitUntilDone(func() bool { return a.ended || b.closed || s.committed || !receiving() })
	ended, leave := a.ended, b.closed || s.committed || receiving() // in a hook, beyond the context
	s.mu.Unlock()
	return ended || !leave && s.receiveRest(a)
}

// clone returns a copy of a message and its size; nil if none is to be kept.
func (b *replayBuffer) clone(msg any) (any, int) {
	b.stream.mu.Lock()
	gone := b.gone
	b.stream.mu.Unlock()
	if gone {
		return nil, 0
	}
	return replayCopy(msg)
}

// replayer is a message that is not one of protobuf and can be kept, such as a message of package gateway.
type replayer interface {
	// ReplayCopy returns a copy that nothing else uses, and its size in bytes; nil if it cannot be copied.
	ReplayCopy() (clone any, size int)
	Len() int
}

// replayCopy returns a copy of a message and what it counts; nil if it cannot be kept.
func replayCopy(msg any) (clone any, size int) {
	if r, ok := msg.(replayer); ok {
		if clone, size = r.ReplayCopy(); clone == nil {
			return nil, 0
		}
		return clone, size + replayOverhead
	}
	if _, ok := protomessage.Of(msg); !ok {
		return nil, 0
	}
	return cloneMessage(msg), replaySize(msg)
}

// replaySize returns what a message that is kept counts.
func replaySize(msg any) int {
	if r, ok := msg.(replayer); ok {
		return r.Len() + replayOverhead
	}
	m, _ := protomessage.Of(msg)
	return proto.Size(m) + replayOverhead
}

// admit waits for an attempt that takes messages, and keeps the message. a is nil
// if none follows; fed is how many attempts were fed without the message.
func (b *replayBuffer) admit(k int, clone any, size int) (a *attempt, fed int, kept bool) {
	s := b.stream
	s.mu.Lock()
	if s.awaitUntilDone(func() bool { return b.closed || s.takes(k, b) }) && !b.closed {
		a, kept = s.current, b.keep(clone, size)
	}
	fed = b.fed
	s.mu.Unlock()
	return a, fed, kept
}

// giveUp frees the buffer when a message that it keeps is reported as not taken: the
// application may send nothing more, and an attempt that was made all the same would be
// one of a part of the stream. It returns false if an attempt was fed since.
func (b *replayBuffer) giveUp(seen int) bool {
	b.stream.mu.Lock()
	defer b.stream.mu.Unlock()
	if b.fed != seen {
		return false
	}
	b.free()
	return true
}

// awaitNext waits for an attempt other than tried that has got a message which was
// kept when fed attempts were fed; nil if none follows. It also returns how many are
// fed then. An attempt that an inner interceptor makes by itself has the message only
// if one was fed since: the inner buffer was then, too. Once the buffer is gone, only
// the latest attempt can still take the message.
func (b *replayBuffer) awaitNext(k, fed int, tried *attempt, err error) (next *attempt, seen int) {
	s := b.stream
	s.mu.Lock()
	over := func() bool { return b.closed || s.latest.goesOn(err) }
	taken := func() bool { return b.fed != fed && s.current != tried && s.takes(k, b) }
	none := func() bool { return b.gone && (b.fed == fed || s.latest == tried || s.latest.ended) }
	if s.awaitUntilDone(func() bool { return over() || taken() || none() }) && !over() && taken() {
		next = s.current
	}
	seen = b.fed
	s.mu.Unlock()
	return next, seen
}

// takes reports whether the current attempt is one under the buffer, and has got
// what is kept. The lock is held.
func (s *clientStream) takes(k int, b *replayBuffer) bool {
	a := s.current
	return a != nil && a.ready && k < len(a.path) && a.path[k].buffer == b
}

// keep appends to what is kept, or frees it. The lock is held.
func (b *replayBuffer) keep(msg any, size int) bool {
	if msg == nil || b.gone || b.stream.committed || size > b.limit-b.size {
		b.free()
		return false
	}
	b.size += size
	b.messages = append(b.messages, msg)
	return true
}

// keeps reports whether all messages that were sent are kept.
func (b *replayBuffer) keeps() bool {
	b.stream.mu.Lock()
	defer b.stream.mu.Unlock()
	return !b.gone
}

// free frees what is kept. The lock is held. A nil buffer keeps nothing.
func (b *replayBuffer) free() {
	if b != nil {
		b.gone, b.messages = true, nil
	}
}

// close ends the sends that wait for another attempt: the interceptor has returned,
// so that none follows.
func (b *replayBuffer) close() {
	if b == nil {
		return
	}
	s := b.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	b.closed = true
	b.free()
	s.cond.Broadcast()
}

// replay is what an attempt has to send before the application sends.
type replay struct {
	messages []any
	at       int   // the place in front of which they are sent
	replaced error // how the stream ended that an adapter has replaced meanwhile; the mutex of the stream guards it
}

// stock takes what an attempt has to replay from a buffer. The buffers of inner
// interceptors, which are new, get it first, so that each of them can feed a further
// attempt by itself, even if this one fails. The hooks between two buffers run
// here, once per attempt of the outer interceptor.
func (a *attempt) stock(source *replayBuffer) error {
	s := a.stream
	s.mu.Lock()
	r := &replay{messages: source.messages, at: a.placeOf(source)}
	gone := source.gone
	source.fed++
	s.mu.Unlock()
	if gone || r.at < 0 {
		return a.call.last // what the attempt needs was freed
	}
	a.replay = r
	for k := r.at + 1; k < len(a.path); k++ {
		if b := a.path[k].buffer; b != nil {
			if err := a.moveTo(k, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// moveTo passes what is replayed through the hooks in front of an inner buffer, and
// keeps it there if it fits.
func (a *attempt) moveTo(k int, b *replayBuffer) error {
	var moved collector
	until := &stocker{a, k, &moved}
	for _, msg := range a.replay.messages {
		moved.given = msg
		if err := until.pass(a.replay.at, msg); err != nil {
			return err
		}
	}
	a.replay = &replay{messages: moved.msgs, at: k}
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	for _, msg := range moved.msgs {
		b.keep(msg, replaySize(msg))
	}
	return nil
}

// stocker is a sink that passes messages inward up to a place.
type stocker struct {
	*attempt

	end int
	to  sink
}

// pass passes a message through the hooks from place k on.
func (s *stocker) pass(k int, msg any) error {
	for ; k < s.end; k++ {
		if l := s.path[k]; len(l.send) > 0 {
			return s.sendThrough(l, msg, s)
		}
	}
	return s.to.take(nil, msg)
}

func (s *stocker) take(l *leg, msg any) error { return s.pass(l.place+1, msg) }

// sendReplay sends an attempt what it has to replay. It holds no lock while it sends:
// the application may have to receive first. The application's sends wait until the
// attempt is ready. An interceptor of grpc-go may modify a message in place, as it may
// the application's, so that it gets clones of what is kept.
func (a *attempt) sendReplay() error {
	if a.replay == nil {
		return nil
	}
	whole := false
	defer a.replayEnded(&whole)
	at := a.replay.at
	defer context.AfterFunc(a.ctx, func() { a.endLegs(at) })()
	for _, msg := range a.replay.messages {
		if a.hasEnded() {
			return io.EOF
		}
		if a.adapted {
			msg = cloneMessage(msg)
		}
		if err := a.sendInside(a.replay.at, msg); err != nil {
			return err
		}
	}
	whole = true
	return nil
}

// replayEnded ends the replay to an attempt. An attempt that has not got all of it ends when
// the stream does that has rejected a message: one that an interceptor of grpc-go opens in its
// place would get only the messages that this interceptor was given.
func (a *attempt) replayEnded(whole *bool) {
	s := a.stream
	s.mu.Lock()
	if replaced := a.replay.replaced; !*whole && replaced != nil {
		a.heard = replaced
	}
	a.replay, a.full = nil, !*whole
	s.mu.Unlock()
	if *whole {
		return
	}
	for full := a; full != nil; full = full.attemptInside() {
		full.breakOff()
	}
}

// restartFrom feeds the next attempt from the buffer of an interceptor, unless an
// outer one still waits for its attempt.
func (s *clientStream) restartFrom(l *leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l != nil && s.restart == nil {
		s.restart = l.buffer
	}
}
