package hauberk

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// feed sends an attempt what earlier attempts got, and lets the application send.
func (a *attempt) feed() {
	whole := a.feedFirst() == nil
	if a.makeReady(false) {
		return
	}
	if whole {
		_ = a.closeWire()
	}
	a.makeReady(true)
}

// makeReady lets the application send, unless it has closed its side and the
// attempt does not know that: until then a SendMsg behind CloseSend ends the call.
func (a *attempt) makeReady(closed bool) bool {
	s := a.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && !closed {
		return false
	}
	a.ready = true
	s.cond.Broadcast()
	return true
}

// feedFirst sends the single request, if it is known, or the kept messages.
func (a *attempt) feedFirst() error {
	switch {
	case a.stream.desc.ClientStreams:
		return a.sendReplay()
	case !a.takeRequest():
		return nil
	}
	msg, err := a.stream.passedRequest(a.call, a.pathEnd())
	if err != nil {
		err = a.call.unlessDropped(err)
		a.finished(err)
		return err
	}
	if err = a.transmit(msg); isEOF(err) {
		return nil // the application closes its side all the same
	}
	return err
}

// pathEnd returns the innermost leg of the stream, or nil.
func (a *attempt) pathEnd() *leg {
	if n := len(a.path); n > 0 {
		return a.path[n-1]
	}
	return nil
}

// takeRequest reports whether the single request is known and was not sent.
func (a *attempt) takeRequest() bool {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if !a.stream.requested || a.fed {
		return false
	}
	a.fed = true
	return true
}

// rejects reports whether the attempt takes no more messages, as a replay has found.
func (a *attempt) rejects() bool {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	return a.full
}

// send passes a message inward from place k of the path.
func (a *attempt) send(k int, msg any) error {
	for ; k < len(a.path); k++ {
		switch l := a.path[k]; {
		case l.buffer != nil:
			return l.buffer.pass(k, msg)
		case len(l.send) > 0 && msg != nil: // nil is grpc-go's empty message
			return a.sendThrough(l, msg, a)
		}
	}
	return a.transmit(msg)
}

// sendInside passes a message inward from place k, behind the buffer there.
func (a *attempt) sendInside(k int, msg any) error {
	if l := a.path[k]; len(l.send) > 0 && msg != nil {
		return a.sendThrough(l, msg, a)
	}
	return a.send(k+1, msg)
}

// sendThrough passes a message through the hooks of a leg to a sink.
func (a *attempt) sendThrough(l *leg, msg any, to sink) error {
	return a.inHooks(l, func() (own bool, err error) { return l.runSend(l.during(), true, msg, to) })
}

// take gets what the hooks of a leg emitted.
func (a *attempt) take(l *leg, msg any) error { return a.send(l.place+1, msg) }

// sendRequest passes the single request through the path and sends it.
func (a *attempt) sendRequest(msg any) (err error) {
	for _, l := range a.path {
		if msg, err = a.passLeg(l, msg); err != nil {
			return err
		}
	}
	return a.transmit(msg)
}

// passLeg passes the single request through a leg, unless the goroutine of the chain
// has done so for a later attempt.
func (a *attempt) passLeg(l *leg, msg any) (out any, err error) {
	s := a.stream
	if out, passed, err := s.startPassing(l); passed {
		if err == errRequestDropped { //nolint:errorlint // the identical error
			err = io.EOF // another attempt has got it
		}
		return out, err
	}
	defer s.stopPassing(l)
	if len(l.send) > 0 {
		err = a.inHooks(l, func() (own bool, err error) {
			msg, err = l.passOne(l.during(), true, msg, "request")
			return true, err
		})
		if err != nil {
			return nil, err
		}
	}
	s.setRequestOf(l, msg)
	return msg, nil
}

// transmit sends a message on the transport. A failure in this process ends the
// attempt.
func (a *attempt) transmit(msg any) error {
	s := a.stream
	if a.adapted && !s.desc.ClientStreams {
		msg = cloneMessage(msg) // which is kept: see sendReplay
	}
	s.mu.Lock()
	if !a.takes() {
		s.mu.Unlock()
		return io.EOF
	}
	over := a.ended // and the count is that of another attempt
	a.sending = true
	s.mu.Unlock()
	taken := false
	defer a.sendEnded(&taken)
	switch err := a.sendWire(msg); {
	case err == nil:
		taken = true
		if !over {
			a.call.countSent()
		}
		return nil
	case isEOF(err):
		taken = true // by a stream that has ended
		return io.EOF
	default:
		a.notSent(err)
		return err
	}
}

// takes reports whether a message may be passed to the transport. It waits for a goroutine that
// asks the transport whether its stream exists, but not beyond the context of the application. An
// attempt that has not taken a message must not be half-closed: the server would read a part of
// the stream as the whole. The lock is held.
func (a *attempt) takes() bool {
	if a.beingAsked() && !a.ended {
		a.awaitAnswer()
	}
	taken := !a.beingAsked() && (!a.ended || a.endReceived)
	a.partial = a.partial || !taken
	return taken
}

// beingAsked reports whether a goroutine asks the transport whether its stream exists. The lock
// is held.
func (a *attempt) beingAsked() bool { return a.probing > 0 && !a.exists }

//go:noinline // its variables would be on the stack while a message is sent
func (a *attempt) awaitAnswer() {
	s := a.stream
	stop := context.AfterFunc(s.ctx, s.wake)
	defer stop()
	for a.beingAsked() && !a.ended && s.ctx.Err() == nil {
		s.cond.Wait()
	}
}

// notSent ends an attempt whose transport could not send a message. If grpc-go has
// ended its stream, what has arrived is received first.
func (a *attempt) notSent(err error) {
	if isEncodingError(err) {
		a.notEncoded(err)
	}
	if !a.isOver() {
		a.finished(err)
		return
	}
	a.stream.mu.Lock()
	a.unsent, a.reopened = err, false
	a.stream.mu.Unlock()
	a.onFinish(err) // an interceptor of grpc-go may not have passed that on
}

// nests notes that an adapter opens a stream. If that is not the first, the attempt
// goes on, and so do those of adapters around it. If one of them is full, the stream must not
// be opened: nests returns the end of the previous one. It also returns how to take the note
// back if the stream cannot be opened. The attempts count the stream once they have it: a
// sender that finds the previous one with the new count would wait for a further one.
func (a *attempt) nests(inner *clientStream) (failed func(), err error) {
	end := a.endInside()
	for outer := a; end != nil && outer != nil; outer = outer.stream.outer {
		if !outer.mayGoOn(end) {
			return nil, end
		}
	}
	previous := a.noteInner(inner, end != nil)
	for outer := a.stream.outer; end != nil && outer != nil; outer = outer.stream.outer {
		outer.goOn()
	}
	return func() { a.forgetInner(inner, previous) }, nil
}

// endInside returns the end of the stream that an adapter has opened last, for one that is to
// take its place. It is nil if the adapter has opened none.
func (a *attempt) endInside() error {
	a.stream.mu.Lock()
	inside := a.nested.stream
	a.stream.mu.Unlock()
	if inside == nil {
		return nil
	}
	inside.mu.Lock()
	defer inside.mu.Unlock()
	if inside.outcome.err == nil { // it has not ended, or has ended well
		return status.Error(codes.Unavailable, "hauberk: the stream ended while messages were sent to it again")
	}
	return inside.outcome.err
}

// nested is the stream that an adapter has opened last.
type nested struct {
	stream   *clientStream
	over     bool  // it has ended
	full     bool  // a message met its end, so that its RecvMsg does not wait for the server
	reopened int32 // how often the adapter, or one inside of it, has opened another stream
}

// takesNone reports whether the stream inside an adapter takes no more messages, after a
// send has returned io.EOF. That may be the adapter's own, or that of a stream which has
// been replaced.
func (n nested) takesNone() bool {
	for n.stream != nil && !n.over {
		s := n.stream
		s.mu.Lock()
		a, rejected := s.current, s.rejected
		if rejected && a != nil && a.adapted {
			n = a.nested // which may have been replaced since
			s.mu.Unlock()
			continue
		}
		s.mu.Unlock()
		return rejected
	}
	return n.over
}

// noteRejected notes that the stream takes no more messages.
func (s *clientStream) noteRejected() {
	if s.outer == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = true
}

// noteInner notes the stream that an adapter opens, and whether another was there before.
func (a *attempt) noteInner(inner *clientStream, again bool) (previous nested) {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if again {
		a.goOnLocked()
	}
	previous = a.nested
	a.nested = nested{stream: inner, reopened: previous.reopened}
	if !a.full { // else a replay has just broken off, and the attempt ends as it has heard
		a.heard, a.heardOK, a.unreceived = nil, false, false
	}
	return previous
}

func (a *attempt) forgetInner(inner *clientStream, previous nested) {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if a.nested.stream == inner {
		a.nested = previous
	}
}

// mayGoOn reports whether an adapter, or one inside of it, may open another stream after the
// end of the previous one. It may not if the attempt is full. A replay that breaks off from
// now on ends the attempt with that end.
func (a *attempt) mayGoOn(end error) bool {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if a.full {
		return false
	}
	if a.replay != nil {
		a.replay.replaced = end
	}
	return true
}

// goOn notes that an adapter inside of the attempt's has opened another stream.
func (a *attempt) goOn() {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	a.goOnLocked()
}

// goOnLocked counts a stream that takes the place of one that has ended, and wakes the senders
// that wait for that. The lock is held.
func (a *attempt) goOnLocked() {
	a.reopened, a.nested.full = true, false
	a.nested.reopened++
	a.stream.cond.Broadcast()
}

// goesOn reports whether the attempt goes on although it could not send a message,
// with err. The lock is held.
func (a *attempt) goesOn(err error) bool {
	return a.reopened && a.unsent != nil && errors.Is(err, a.unsent)
}

// sendEnded lets the chain go on that waits for the count of the message.
func (a *attempt) sendEnded(taken *bool) {
	s := a.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	a.sending = false
	if *taken {
		a.noteExists()
	}
	if !s.desc.ClientStreams {
		a.gotRequest = true
		s.dropRequest(a)
	}
	if a.ended || a.adapted || a.probing > 0 {
		s.cond.Broadcast()
	}
}

// sendWire sends on the transport under the chain's guard.
func (a *attempt) sendWire(msg any) error {
	return a.call.guardedForeign(func() error { return a.wire.SendMsg(msg) })
}

// closeWire closes the sending side of the transport's stream under the guard.
func (a *attempt) closeWire() error { return a.call.guardedForeign(a.wire.CloseSend) }
