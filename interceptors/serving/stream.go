package serving

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/running"
)

// stream is a stream that runs.
type stream struct {
	ctx    context.Context //nolint:containedctx // that the interceptor was given, to end the stream later
	cancel context.CancelCauseFunc
	call   *hauberk.Call
	method *method
	early  running.End
	by     atomic.Pointer[state] // that ended it; written while early ends it

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	until time.Time // when the timer ends the stream
}

// stream runs the inner part of a stream, until a state ends it.
func (x *Interceptor) stream(ctx context.Context, call *hauberk.Call, next hauberk.Next, m *method) error {
	inside, cancel := context.WithCancelCause(ctx)
	s := &stream{ctx: ctx, cancel: cancel, call: call, method: m}
	m.calls.AddStream(s) // before it reads the state: see package running
	defer s.done()
	var err error
	now := x.current.Load()
	rejects := !m.exempt && !m.accepted[now.index]
	if m.health && x.closing.Load() {
		now, rejects = x.find(Draining), true
	}
	switch {
	case rejects:
	case m.exempt:
		call.Abstain()
		err = next(inside, call)
	default:
		now.allow(call)
		err = next(inside, call)
	}
	s.early.Settle()
	switch {
	case s.early.Err() != nil: // also if another state has ended it since: the client has that status
		return s.by.Load().reject(call, true)
	case rejects:
		return now.reject(call, false)
	}
	return err
}

// done releases what a stream that is over has.
func (s *stream) done() {
	s.early.Settle()
	s.cancel(nil)
	s.unplan()
	s.method.calls.DoneStream(s)
}

// judge plans the end of the stream if a state does not accept it, and otherwise drops such a plan. Only one
// goroutine judges at a time.
func (s *stream) judge(to *state) {
	if s.method.accepted[to.index] || to.KeepStreams {
		s.unplan()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := time.Now().Add(to.Grace)
	if s.timer != nil {
		if until.After(s.until) {
			until = s.until
		}
		s.timer.Stop()
	}
	s.until = until
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(until), func() { // on its own goroutine: the transport may block
		if s.isPlanned(&timer) {
			s.end(to)
		}
	})
	s.timer = timer
}

// isPlanned reports whether a timer, which s.mu guards, is the current one.
func (s *stream) isPlanned(timer **time.Timer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timer == *timer
}

// unplan drops the plan of an end.
func (s *stream) unplan() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// end ends the stream, since a state does not accept it. In shadow the interceptor only records it.
func (s *stream) end(by *state) {
	s.early.By(s.ctx, by.rejection, func() {
		s.by.Store(by)
		if !s.call.DryRun() {
			s.cancel(by.rejection)
			s.call.End(by.rejection)
		}
	})
}
