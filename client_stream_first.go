package hauberk

import (
	"context"
	"io"
)

// What follows is for interceptors that decide by the first of a stream of requests. NewStream
// returns without an attempt. The first SendMsg keeps its message for them, and waits for an attempt.

// readFirst returns the first of a stream of requests, as the application has passed it.
func (s *clientStream) readFirst(ctx context.Context) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened && !s.asked {
		return nil, errInternal("the first request of %s was not kept: "+
			"ReadFirst on a client has to be called before the first attempt", s.method.full)
	}
	if s.kept == nil {
		s.asked = true
		s.cond.Broadcast()
		stop := context.AfterFunc(ctx, s.wake)
		defer stop()
	}
	for s.kept == nil {
		switch {
		case s.closed:
			return nil, io.EOF
		case ctx.Err() != nil:
			return nil, toApplication(ctx.Err())
		}
		s.cond.Wait()
	}
	return *s.kept, nil
}

// sendFirst gives the interceptors that wait for it the first message of the application, and
// waits for an attempt to send it to. The application may use its message again, so that it is
// cloned.
func (s *clientStream) sendFirst(msg any) (a *attempt, done bool) {
	first := cloneMessage(msg)
	s.mu.Lock()
	s.kept = &first
	s.cond.Broadcast()
	s.awaitUntilDone(func() bool { return s.latest != nil })
	a, done = s.latest, s.done
	s.mu.Unlock()
	return a, done
}
