package hauberk

import (
	"context"
	"io"
)

// closeLeg ends the hooks of a leg whose next returns: it ends their context and then waits
// for those that run.
func (s *clientStream) closeLeg(l *leg) {
	s.mu.Lock()
	l.closed = true
	s.mu.Unlock()
	l.stop(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for l.running > 0 {
		s.cond.Wait()
	}
}

// endLegs ends the hooks that wait inside of place k, since the attempt has ended. The goroutine of the
// chain runs them in a replay, so that their legs are closed only after they have returned.
func (a *attempt) endLegs(k int) {
	for _, l := range a.path[k:] {
		if !l.waits {
			continue
		}
		a.stream.mu.Lock()
		l.over = true
		a.stream.mu.Unlock()
		l.stop(nil)
	}
}

// startHooks reports whether hooks of a leg may run: not once its next returns.
func (s *clientStream) startHooks(l *leg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed || l.failure.Load() != nil {
		return false
	}
	l.running++
	return true
}

// inHooks runs hooks of a leg on a goroutine of the application, under the guard, unless
// its next returns. own is whether the error that run returns is that of a hook of the
// leg. The error of a hook that waited until the end is io.EOF.
func (a *attempt) inHooks(l *leg, run func() (own bool, err error)) (err error) {
	s := a.stream
	if !s.startHooks(l) {
		return io.EOF
	}
	own, returned := true, false
	defer s.hooksEnded(l, &returned, &own, &err)
	if plan := a.call.plan; plan.guard != nil {
		defer plan.catchForeign(&a.call.ctx, a.call, &returned, &err)
	}
	own, err = run()
	returned = true
	return err
}

// hooksEnded is deferred behind startHooks. failed is whether *err, or a panic, is
// the fault of a hook.
func (s *clientStream) hooksEnded(l *leg, returned, failed *bool, err *error) {
	if !*returned && *err == nil {
		s.failLeg(l, errInternal("a hook of %s panicked, or ended its goroutine by runtime.Goexit", l.name()))
	} else if *failed && *err != nil {
		if s.overtaken(l) {
			*err = io.EOF
		} else {
			s.failLeg(l, *err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.running--
	if l.closed {
		s.cond.Broadcast()
	}
}

// overtaken reports whether the outcome of a leg was decided while one of its hooks waited.
func (s *clientStream) overtaken(l *leg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.waits && (l.closed || l.over)
}

// failLeg ends a leg with the error of one of its hooks, and the attempt inside: that
// first, since the cancel would end it as CANCELED.
func (s *clientStream) failLeg(l *leg, err error) {
	first := l.note(err)
	s.mu.Lock()
	a := s.current
	inside := a != nil && a.inside(l)
	if inside {
		a.endLocked(err)
	}
	s.mu.Unlock()
	if first {
		l.stop(err)
	}
	if inside {
		a.cancel()
	}
}

// read returns the single request as the legs outside of the running interceptor
// have made it, once the application has sent it; or the first of a stream of requests.
func (s *clientStream) read(ctx context.Context, call *Call) (any, error) {
	if s.desc.ClientStreams {
		return s.readFirst(ctx)
	}
	if err := s.awaitRequest(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.wasRead = true
	s.mu.Unlock()
	return s.passedRequest(call, call.leg)
}

func (s *clientStream) awaitRequest(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.requested {
		s.asked = true
		s.cond.Broadcast()
		stop := context.AfterFunc(ctx, s.wake)
		defer stop()
	}
	for !s.requested {
		switch {
		case ctx.Err() != nil:
			return toApplication(ctx.Err())
		case s.closed:
			return errInternal("the application closed its side of %s without a request", s.call.method.full)
		}
		s.cond.Wait()
	}
	return nil
}

// passKnownRequest passes the single request through the hooks of a leg that
// opens, if the application has sent it.
func (s *clientStream) passKnownRequest(call *Call, l *leg) error {
	s.mu.Lock()
	known := s.requested
	s.mu.Unlock()
	if !known {
		return nil
	}
	_, err := s.passedRequest(call, l)
	return err
}

// passedRequest returns the single request as it leaves a leg. It runs on the
// goroutine of the chain the hooks that the request has not passed yet.
func (s *clientStream) passedRequest(call *Call, l *leg) (any, error) {
	if l == nil || l.host != s {
		return s.keptRequest()
	}
	if msg, passed, err := s.startPassing(l); passed {
		return msg, err
	}
	defer s.stopPassing(l)
	msg, err := s.requestOutside(call, l)
	if err == nil && len(l.send) > 0 {
		err = call.asHook(func() error {
			msg, err = l.passOne(l.during(), true, msg, "request")
			return err
		})
		if err != nil {
			l.fail(err)
		}
	}
	if err != nil {
		return nil, err
	}
	s.setRequestOf(l, msg)
	return msg, nil
}

// requestOutside returns the single request as it enters a leg.
func (s *clientStream) requestOutside(call *Call, l *leg) (any, error) {
	s.mu.Lock()
	resumed := l.resumed
	s.mu.Unlock()
	if resumed != nil {
		return resumed, nil
	}
	return s.passedRequest(call, l.outer)
}

func (s *clientStream) keptRequest() (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped {
		return nil, errRequestDropped
	}
	return s.request, nil
}

// dropRequest frees the single request once the call is committed and its attempt was
// sent it, unless an interceptor has read it: Read may return it again. The lock is held.
func (s *clientStream) dropRequest(a *attempt) {
	if !s.committed || !a.gotRequest || s.wasRead {
		return
	}
	s.request, s.dropped = nil, true
	for _, l := range a.path {
		l.request, l.resumed = nil, nil
	}
}

// isDropped reports whether the request that enters a leg is gone. The lock is held.
func (s *clientStream) isDropped(l *leg) bool {
	for ; s.dropped && l != nil && l.host == s; l = l.outer {
		if l.resumed != nil {
			return false
		}
	}
	return s.dropped
}

// errRequestDropped is the error of what needs the single request when it is gone.
var errRequestDropped = errInternal(
	"the request is not kept once the application has received something: Read it before next")

// unlessDropped returns the error of a new attempt that could not pass on the single request. If the call was
// committed meanwhile, so that the request is gone, the last outcome is final.
func (c *Call) unlessDropped(err error) error {
	if err == errRequestDropped && c.last != nil { //nolint:errorlint // the identical error
		return c.last
	}
	return err
}

// startPassing waits for another goroutine that passes the single request through
// the leg, and reports whether it has passed: concurrent attempts share outer legs.
func (s *clientStream) startPassing(l *leg) (msg any, passed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l.passing {
		s.cond.Wait()
	}
	switch {
	case l.failure.Load() != nil:
		return nil, true, l.failed()
	case l.request != nil:
		return l.request, true, nil
	case s.isDropped(l):
		return nil, true, errRequestDropped
	}
	l.passing = true
	return nil, false, nil
}

func (s *clientStream) stopPassing(l *leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.passing = false
	s.cond.Broadcast()
}

func (s *clientStream) setRequestOf(l *leg, msg any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.request = msg
}
