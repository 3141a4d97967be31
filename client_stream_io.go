package hauberk

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What follows is the stream as the application uses it.

// Context returns the context of the transport's stream, as grpc-go does: it has
// the peer and the state of the call, and is done when the stream is. Like
// grpc-go's it commits the call: no attempt follows. Without a stream of the
// transport it returns a context of the call, which is done at its end.
func (s *clientStream) Context() context.Context {
	s.mu.Lock()
	a := s.current
	switch {
	case a == nil && s.done:
		a = s.latest
	case a != nil && a.discarded:
		a = nil // as between two attempts
	}
	if a != nil {
		s.commitLocked(a)
		wire := a.wire
		s.mu.Unlock()
		if at := s.call.plan.chain.at; at.meetsItself() {
			return unmarked{wire.Context(), at}
		}
		return wire.Context()
	}
	defer s.mu.Unlock()
	if s.own == nil {
		s.own, s.cancelOwn = context.WithCancel(s.ctx)
		if s.done {
			s.cancelOwn()
		}
	}
	return s.own
}

// SendMsg sends a message of the application. It returns nil once the current
// attempt has taken the message.
func (s *clientStream) SendMsg(msg any) error {
	if !s.desc.ClientStreams {
		return s.sendRequest(msg)
	}
	s.mu.Lock()
	a, closed, done := s.latest, s.closed, s.done
	first := s.asked && s.kept == nil && !closed && !done
	s.mu.Unlock()
	if first {
		a, done = s.sendFirst(msg)
	}
	if done {
		_ = s.finalError() // for its panic
	}
	if closed {
		return s.misuse(msg)
	}
	if a == nil {
		return io.EOF // the chain has answered without a stream
	}
	if done {
		if err := a.transmit(msg); err != nil {
			return err // such as that of a message that cannot be encoded, as on bare grpc-go
		}
		return io.EOF
	}
	switch err := a.send(0, msg); {
	case err == nil:
		return nil
	case isEOF(err):
		s.noteRejected()
		return err
	default:
		return s.afterFailure(err)
	}
}

// afterFailure waits for what the chain makes of a failure in this process, and
// returns that. If the call had ended otherwise, or goes on, it returns the failure.
func (s *clientStream) afterFailure(err error) error {
	s.mu.Lock()
	if s.awaitUntilDone(func() bool { return s.latest.goesOn(err) }) || !s.done {
		s.mu.Unlock()
		return err
	}
	otherwise := errors.Is(err, s.latest.unsent) && CodeOf(s.latest.err) != CodeOf(err)
	s.mu.Unlock()
	final := s.finalError()
	switch {
	case otherwise:
		return err
	case final == nil:
		return io.EOF
	default:
		return final
	}
}

// sendRequest sends the one request of a method without client streaming. As
// grpc-go does, it leaves it to RecvMsg to report that the call has ended.
func (s *clientStream) sendRequest(msg any) error {
	request, ok := s.setRequest(msg)
	if !ok {
		return s.misuse(msg)
	}
	var tried *attempt
	var err error
	for {
		a, fed, done := s.awaitTaker(tried, err)
		switch {
		case done:
			return s.requestOutcome(tried)
		case err != nil && a == tried:
			return err // an adapter's attempt goes on
		case fed:
			return nil
		}
		if err = a.sendRequest(request); err == nil || isEOF(err) {
			return nil
		}
		tried = a
	}
}

// setRequest keeps the single request, unless the application may send no more. The
// application may use its message again, so that it is cloned if an interceptor could
// make an attempt later.
func (s *clientStream) setRequest(msg any) (request any, ok bool) {
	if len(s.call.plan.entries) > 0 {
		msg = cloneMessage(msg)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requested || s.closed {
		return nil, false
	}
	s.requested, s.request = true, msg
	s.cond.Broadcast()
	return msg, true
}

// awaitTaker waits for an attempt other than tried, which failed to send the request
// with err, that takes it. fed is whether it has got it.
func (s *clientStream) awaitTaker(tried *attempt, err error) (a *attempt, fed, done bool) {
	s.mu.Lock()
	ok := s.awaitUntilDone(func() bool {
		a = s.current
		return s.race != nil && s.opened || a != nil && (a != tried && a.ready || a.goesOn(err))
	})
	fed = ok && (a == nil || a.fed)
	if ok && a != nil {
		a.fed = true
	}
	s.mu.Unlock()
	return a, fed, !ok
}

// requestOutcome is what a sent request returns when the chain has returned: an
// error if no attempt was opened, or the last one failed in this process.
func (s *clientStream) requestOutcome(tried *attempt) error {
	s.mu.Lock()
	opened := s.opened
	s.mu.Unlock()
	if err := s.finalError(); tried != nil || !opened {
		return err
	}
	return nil
}

// CloseSend says that the application sends no more.
func (s *clientStream) CloseSend() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	a := s.current
	if a != nil && (!a.ready || a.full || a.partial) {
		a = nil // its feed closes it, or it has only a part of the messages
	}
	s.cond.Broadcast()
	s.mu.Unlock()
	if again || a == nil {
		return nil
	}
	return a.closeWire()
}

// Header returns the response header when it has come; nil if the call ended
// without one.
func (s *clientStream) Header() (metadata.MD, error) {
	for {
		a := s.awaitHeader()
		if a == nil {
			_ = s.finalError() // for its panic
			return s.finalHeader()
		}
		md, err := s.waitForHeader(a)
		if md != nil && s.commit(a) {
			return md, err
		}
		if err == nil && s.endsWell(a) {
			continue
		}
		if !s.awaitEnd(a) {
			return nil, err
		}
	}
}

func (s *clientStream) waitForHeader(a *attempt) (metadata.MD, error) {
	s.addWaiting(1)
	defer s.addWaiting(-1)
	return a.header()
}

func (s *clientStream) addWaiting(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += n
}

// endsWell receives the good end of an attempt without a header or a message, if
// grpc-go has reported one: the application may ask for nothing else.
func (s *clientStream) endsWell(a *attempt) bool {
	s.mu.Lock()
	ends := a.heardOK
	s.mu.Unlock()
	return ends && s.receiveRest(a)
}

func (s *clientStream) awaitHeader() *attempt {
	s.mu.Lock()
	s.want(nil)
	s.awaitUntilDone(func() bool { return s.current != nil || s.returned }) // a callback of grpc.OnFinish may ask
	a := s.current
	s.mu.Unlock()
	return a
}

// awaitEnd waits for the end of an attempt without a header, or of one that is discarded. It
// returns false if grpc-go has not reported one: the attempt goes on.
func (s *clientStream) awaitEnd(a *attempt) bool {
	s.mu.Lock()
	s.awaitUntilDone(func() bool {
		// A message without a header is one of a stream that has replaced the one asked for it.
		return a.ended || a.unreceived ||
			!a.discarded && (a.heard == nil || a.reopened || a.call.received.Load() > 0)
	})
	ends := a.ended
	s.mu.Unlock()
	return ends
}

// finalHeader returns the header of a call that has ended, or whose context is done.
func (s *clientStream) finalHeader() (metadata.MD, error) {
	s.mu.Lock()
	a := s.latest
	switch {
	case a == nil || s.returned:
	case a.discarded:
		a = nil
	default:
		s.commitLocked(a)
	}
	s.mu.Unlock()
	if a == nil {
		return nil, nil //nolint:nilnil // as grpc-go: RecvMsg returns the error
	}
	md, _ := a.header()
	return md, nil
}

// Trailer returns the trailer of a call that has ended.
func (s *clientStream) Trailer() metadata.MD {
	s.mu.Lock()
	a := s.latest
	s.mu.Unlock()
	if a == nil {
		return metadata.MD{}
	}
	if md := a.trailer(); md != nil {
		return md
	}
	return metadata.MD{}
}

// RecvMsg receives a message for the application. It returns io.EOF at the end
// of a call that is OK, and otherwise the error of the chain.
func (s *clientStream) RecvMsg(msg any) error {
	for {
		a, arrived := s.startReceiving(msg)
		switch {
		case arrived != nil:
			return assign(msg, arrived)
		case a == nil:
			return s.receiveOutcome(msg)
		case a.receive(msg):
			return nil
		}
	}
}

// startReceiving waits for something to receive: a message that has arrived, or an
// attempt, which the caller then owns for receiving. It returns neither when the
// chain has returned.
func (s *clientStream) startReceiving(msg any) (a *attempt, arrived any) {
	s.mu.Lock()
	s.want(msg)
	s.await(func() bool { return len(s.arrived) > 0 || s.receivable() && !s.receiving })
	switch {
	case len(s.arrived) > 0:
		arrived = s.arrived[0]
		s.arrived = s.arrived[1:]
	case !s.done:
		s.receiving = true
		a = s.current
	}
	s.mu.Unlock()
	return a, arrived
}

// receivable reports whether the application may receive from the current attempt. A
// single request is sent before, as generated code does: stats handlers count it then.
// Of a replay the server may want to be read first. The lock is held.
func (s *clientStream) receivable() bool {
	a := s.current
	return a != nil && (a.ready || s.desc.ClientStreams)
}

// receiveOutcome receives what the chain has answered.
func (s *clientStream) receiveOutcome(msg any) error {
	if err := s.finalError(); err != nil {
		return err
	}
	if !s.desc.ServerStreams && s.deliver() {
		return assign(msg, s.call.response)
	}
	return io.EOF
}

// deliver reports whether the single response is still to be delivered.
func (s *clientStream) deliver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.delivered
	s.delivered = true
	return first
}

var _ grpc.ClientStream = (*clientStream)(nil)

// misuse ends a call whose application sends after the end of its side, as
// grpc-go does.
func (s *clientStream) misuse(msg any) error {
	err := status.Error(codes.Internal, "SendMsg called after CloseSend")
	s.mu.Lock()
	a := s.current
	if s.broken == nil {
		s.broken = err
	}
	ready := a != nil && a.ready
	s.mu.Unlock()
	if a == nil {
		return err
	}
	sent := io.EOF
	if ready { // nothing is replayed to it
		sent = a.sendWire(msg)
	}
	if sent == nil || isEOF(sent) {
		a.finished(err)
	} else {
		a.onFinish(err) // grpc-go ends the stream, and delivers first what has arrived
	}
	return err
}

// isEOF reports whether a send failed because the call takes no more messages.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
