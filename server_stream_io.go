package hauberk

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// SendMsg sends a message of the handler. The one response of a method without
// server streaming is held until the chain has returned.
func (s *serverStream) SendMsg(msg any) error {
	return s.guarded(func() error { return s.sendMsg(msg) })
}

func (s *serverStream) sendMsg(msg any) error {
	switch {
	case s.returned.Load():
		return errReturned()
	case s.call.kind.ServerStreams():
		return s.send(s.inmost, msg)
	case len(s.call.plan.entries) == 0:
		return s.sendNow(msg)
	default:
		return s.hold(&s.own, msg, s.inmost, s.depth)
	}
}

// sendNow sends the one response of the handler at once: there is no interceptor
// that could replace it.
func (s *serverStream) sendNow(msg any) error {
	err := s.sendWire(msg)
	if err != nil {
		return err
	}
	if msg == nil {
		msg = emptyResponse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.own.over {
		s.own.msg, s.own.sent = msg, true
	}
	return nil
}

// hold keeps the one response of the handler, or of an interceptor of grpc-go, which may use
// its message again. It fails as grpc-go does if the call is over. A further response is the
// client's to reject. l is the leg around the sender, and depth is its place: if that is deeper
// than the chain is now, an outer interceptor has returned without it.
func (s *serverStream) hold(to *response, msg any, l *leg, depth int32) error {
	if err := s.wire.Context().Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	if s.call.nexts.depth() < depth {
		return errReturned()
	}
	if failure := l.broken(); failure != nil {
		return failure
	}
	if msg = cloneMessage(msg); msg == nil {
		msg = emptyResponse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case to.over:
		return errReturned()
	case to.msg == nil:
		to.msg = msg
	default:
		s.surplus = append(s.surplus, msg)
	}
	return nil
}

// RecvMsg receives a message for the handler.
func (s *serverStream) RecvMsg(msg any) error {
	if s.returned.Load() {
		return errReturned()
	}
	err := s.guarded(func() error { return s.receive(s.inmost, msg) })
	if err == nil {
		s.awaited = false
	}
	return err
}

// send passes a message outward from a leg: through its hooks, the stream of an
// adapter, the legs outside of it, to the transport.
func (s *serverStream) send(l *leg, msg any) error {
	if err := l.broken(); err != nil {
		return err
	}
	for ; l != nil; l = l.outer {
		switch {
		case len(l.send) > 0 && msg != nil: // nil is grpc-go's empty message
			return s.sendThrough(l, msg)
		case l.foreign != nil:
			if err := loadMessage(msg); err != nil {
				return err
			}
			return l.foreign.stream.SendMsg(msg)
		}
	}
	return s.sendWire(msg)
}

// sendThrough passes a message through the hooks of a leg and on outward. Once next
// has returned none starts: the message is that of a goroutine which the handler left
// behind.
func (s *serverStream) sendThrough(l *leg, msg any) error {
	if err := loadMessage(msg); err != nil { // which may take until the end of next
		return err
	}
	if l.left.Load() {
		return errReturned()
	}
	return s.inHooks(l, func() (own bool, err error) { return l.runSend(l.ctx, false, msg, s) })
}

// inHooks runs hooks of a leg on a goroutine of the handler, under the guard. own is
// whether the error that run returns is that of a hook of the leg. A panic that no guard
// has turned into an error unwinds through the handler, which may recover it.
func (s *serverStream) inHooks(l *leg, run func() (own bool, err error)) (err error) {
	own, returned := true, false
	defer func() {
		if own && err != nil {
			l.fail(err)
		}
	}()
	if plan := s.call.plan; plan.guard != nil {
		defer plan.catch(&s.call.ctx, &s.call, &returned, &err)
	}
	own, err = run()
	returned = true
	return err
}

// take gets what the hooks of a leg emitted.
func (s *serverStream) take(l *leg, msg any) error {
	if l.foreign != nil {
		return l.foreign.stream.SendMsg(msg)
	}
	return s.send(l.outer, msg)
}

func (s *serverStream) sendWire(msg any) error {
	if s.method.unguarded { // an interceptor of grpc-go answers
		return s.call.errUnguarded()
	}
	if msg == emptyResponse {
		msg = nil
	}
	s.call.headerDue()
	s.startSending()
	defer s.stopSending()
	err := s.wire.SendMsg(msg)
	if err == nil {
		s.call.sent.Add(1)
	}
	return err
}

// startSending waits for a goroutine that the handler left behind in SendMsg: the
// chain sends what it has replied.
func (s *serverStream) startSending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sending {
		s.idle.Wait()
	}
	s.sending = true
}

func (s *serverStream) stopSending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = false
	s.idle.Signal()
}

// receive gets a message for what is inside of a leg: from the stream of an
// adapter, the legs outside of it, or the transport, one that all hooks keep.
func (s *serverStream) receive(l *leg, msg any) error {
	if l == s.aheadAt && (s.ahead != nil || s.readErr != nil) {
		return s.receiveAhead(l, msg)
	}
	if l == s.aheadAt && s.awaited { // an adapter inside has not passed the first message on
		if s.inmost != nil {
			s.inmost.fail(errFirstDropped)
		}
		return errFirstDropped
	}
	if l == nil {
		return s.receiveWire(msg)
	}
	for {
		if err := l.broken(); err != nil {
			return err
		}
		if err := s.receiveOutside(l, msg); err != nil || len(l.receive) == 0 {
			return err
		}
		if keep, err := s.keeps(l, msg); err != nil || keep {
			return err
		}
		if s.awaited {
			l.fail(errFirstDropped)
			return errFirstDropped
		}
	}
}

func (s *serverStream) receiveOutside(l *leg, msg any) error {
	if l.foreign != nil {
		return l.foreign.stream.RecvMsg(msg)
	}
	return s.receive(l.outer, msg)
}

// keeps shows a received message to the hooks of a leg. Once its next has returned
// none starts, and the result of one that runs is discarded: the interceptor takes it
// that they are over.
func (s *serverStream) keeps(l *leg, msg any) (keep bool, err error) {
	if err := loadMessage(msg); err != nil { // which may take until the end of next
		return false, err
	}
	if l.left.Load() {
		return false, errReturned()
	}
	keep, err = s.runReceive(l, msg)
	if l.left.Load() {
		return false, errReturned()
	}
	return keep, err
}

func (s *serverStream) runReceive(l *leg, msg any) (keep bool, err error) {
	err = s.inHooks(l, func() (own bool, err error) {
		if s.call.kind.ClientStreams() {
			keep, err = l.runReceive(l.ctx, true, msg)
		} else {
			keep, err = true, l.keepOne(l.ctx, true, msg, "request")
		}
		return true, err
	})
	return keep, err
}

// ReasonFirstDropped is the reason of calls whose first message was dropped after
// [Call.ReadFirst] had read it.
const ReasonFirstDropped = "FIRST_MESSAGE_DROPPED"

// errFirstDropped ends such a call. The interceptor that read the message has decided by it, so
// that the handler must not receive another as the first.
var errFirstDropped error = Reject(
	codes.InvalidArgument, ReasonFirstDropped, "The first message of the stream was dropped")

// receiveAhead receives what Read received before.
func (s *serverStream) receiveAhead(l *leg, msg any) error {
	if err := l.broken(); err != nil {
		return err
	}
	if s.readErr != nil {
		return s.readErr
	}
	request := s.ahead
	s.ahead = nil
	return assign(msg, request)
}

func (s *serverStream) receiveWire(msg any) error {
	if s.call.counts {
		s.receiving.Add(1)
		defer s.receiving.Add(-1)
	}
	err := s.wire.RecvMsg(msg)
	if err == nil {
		s.call.received.Add(1)
	}
	return err
}
