package hauberk

import (
	"context"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What follows is the stream as the application uses it.

// Context returns the context that the application made the call with, in which
// the call's state is.
func (s *clientStream) Context() context.Context { return s.ctx }

// SendMsg sends a message of the application. The one request of a method without
// client streaming starts the chain.
func (s *clientStream) SendMsg(msg any) error {
	if !s.desc.ClientStreams {
		return s.sendRequest(msg)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	att := s.sending()
	s.mu.Unlock()
	if att == nil {
		return io.EOF
	}
	err := att.push(msg)
	if err == nil || err == io.EOF {
		return err
	}
	att = s.failing(att)
	att.fail(err)
	return s.afterFailure(att)
}

// failing returns the attempt that a failed send was meant for: a tap sends to
// the one that is current by then.
func (s *clientStream) failing(att *attempt) *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		return s.current
	}
	return att
}

// sending returns the attempt whose hooks a message goes through: the current,
// or between attempts the last one. It is nil when the call has ended. The lock
// is held.
func (s *clientStream) sending() *attempt {
	if s.done {
		_ = s.outcome()
		return nil
	}
	if s.current != nil {
		return s.current
	}
	return s.latest
}

// afterFailure waits for what the chain makes of a failed send.
func (s *clientStream) afterFailure(att *attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.done && (s.current == nil || s.current == att) {
		s.cond.Wait()
	}
	if !s.done {
		return nil // another attempt replays the message
	}
	if err := s.outcome(); err != nil {
		return err
	}
	return io.EOF
}

// sendRequest starts the chain with the single request.
func (s *clientStream) sendRequest(msg any) error {
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if started {
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	s.call.request = msg
	return s.begin()
}

// CloseSend says that the application sends no more.
func (s *clientStream) CloseSend() error {
	s.mu.Lock()
	if s.closed || s.started && !s.desc.ClientStreams {
		s.closed = true
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	started, att := s.started, s.current
	if att != nil && att.replays != nil {
		att = nil // the replay closes
	}
	s.mu.Unlock()
	switch {
	case !started:
		return s.begin()
	case att != nil:
		return att.wire.CloseSend()
	default:
		return nil
	}
}

// Header returns the response header when it has come; nil if the call ended
// without one.
func (s *clientStream) Header() (metadata.MD, error) {
	for {
		att, err := s.awaitAttempt(nil)
		if att == nil {
			return s.finalHeader(), err
		}
		md, err := att.wire.Header()
		if md != nil {
			s.commit()
			return md, err
		}
		if !att.hasEnded() {
			return nil, err
		}
	}
}

// finalHeader returns the header of a call that has ended.
func (s *clientStream) finalHeader() metadata.MD {
	s.mu.Lock()
	att := s.latest
	s.mu.Unlock()
	if att == nil {
		return nil
	}
	md, _ := att.wire.Header()
	return md
}

// Trailer returns the trailer of a call that has ended.
func (s *clientStream) Trailer() metadata.MD {
	s.mu.Lock()
	att := s.latest
	s.mu.Unlock()
	if att == nil {
		return nil
	}
	return att.trailer()
}

// commit says that the application has been given something.
func (s *clientStream) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = true
}

// awaitAttempt returns an attempt to receive msg from, or the header if msg is nil;
// none when the chain has returned, or if ctx ends before it started.
func (s *clientStream) awaitAttempt(msg any) (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		s.want(msg)
	}
	if !s.started {
		stop := context.AfterFunc(s.ctx, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.cond.Broadcast()
		})
		defer stop()
	}
	for s.current == nil && !s.done {
		if !s.started && s.ctx.Err() != nil {
			return nil, toApplication(s.ctx.Err())
		}
		s.cond.Wait()
	}
	if s.current != nil && msg != nil { // Header may run beside RecvMsg
		s.current.busy = true
	}
	return s.current, nil
}

// RecvMsg receives a message for the application. It returns io.EOF at the end
// of a call that is OK, and otherwise the error of the chain.
func (s *clientStream) RecvMsg(msg any) error {
	for {
		att, err := s.awaitAttempt(msg)
		if err != nil {
			return err
		}
		if att == nil {
			return s.receiveOutcome(msg)
		}
		if err := att.receiveWire(msg); err != nil {
			att.finished(err)
			continue
		}
		if !s.desc.ServerStreams {
			att.answered(msg)
			continue
		}
		keep, err := att.accept(msg)
		if err != nil {
			att.fail(err)
			continue
		}
		att.settle(keep)
		if keep {
			return nil
		}
	}
}

// receiveOutcome receives what the chain has answered.
func (s *clientStream) receiveOutcome(msg any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.outcome(); err != nil {
		return err
	}
	if !s.desc.ServerStreams && !s.delivered {
		s.delivered = true
		return assign(msg, s.call.response)
	}
	if len(s.replies) == 0 {
		return io.EOF
	}
	reply := s.replies[0]
	s.replies = s.replies[1:]
	return assign(msg, reply)
}
