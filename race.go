package hauberk

import (
	"context"
	"io"

	"google.golang.org/protobuf/types/known/emptypb"
)

// race is what attempts beside each other share: which of them the application
// receives from. It is guarded by the stream's mutex.
type race struct {
	demand     chan struct{} // closed when the application wants something
	wantHeader bool
	like       any // a message of the type that the application receives into
	likeErr    error
	demanded   bool
	winner     *attempt
	attempts   []*attempt
}

func (s *clientStream) racing() *race {
	if s.race == nil {
		s.race = &race{demand: make(chan struct{})}
	}
	return s.race
}

// want lets the attempts receive. The lock is held.
func (r *race) want() {
	if !r.demanded {
		r.demanded = true
		close(r.demand)
	}
}

// demandHeader and demandMessage note what the application waits for: nothing is
// received ahead of that.
func (s *clientStream) demandHeader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.race == nil && s.started && s.current != nil || s.desc.ClientStreams {
		return
	}
	r := s.racing()
	r.wantHeader = true
	r.want()
}

func (s *clientStream) demandMessage(msg any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.race == nil && s.current != nil || s.done || s.desc.ClientStreams {
		return
	}
	r := s.racing()
	if r.like == nil {
		// One of its own: the application's message is written while attempts that
		// have lost still look at the type.
		if r.like, r.likeErr = newLike(msg); r.likeErr != nil {
			r.like = msg
		}
	}
	r.want()
}

// compete makes one attempt beside others and returns when it has ended.
func (s *clientStream) compete(ctx context.Context, call *Call, open opener) error {
	if s.desc.ClientStreams {
		return errInternal("%s streams its requests, so that attempts cannot run beside each other", call.method.full)
	}
	att := new(attempt)
	att.init(ctx, s, call, open)
	defer att.cancel()
	if !s.enterRace(att) {
		return ErrSuperseded
	}
	if att.connect() {
		s.mu.Lock()
		s.opened = true
		if s.latest == nil {
			s.latest = att
		}
		s.cond.Broadcast()
		s.mu.Unlock()
		s.receiveFirst(att)
	}
	err := att.wait()
	if s.lost(att) {
		return ErrSuperseded
	}
	return err
}

func (s *clientStream) enterRace(att *attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.racing()
	r.attempts = append(r.attempts, att)
	return r.winner == nil && !s.committed
}

func (s *clientStream) lost(att *attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.race.winner != nil && s.race.winner != att
}

// receiveFirst receives what decides the race, once the application wants it.
func (s *clientStream) receiveFirst(att *attempt) {
	select {
	case <-s.race.demand:
	case <-att.over:
		return
	case <-att.ctx.Done():
		return
	}
	header, _ := att.wire.Header()
	msg, won, err := s.prepare(att, header != nil)
	if won || err != nil {
		return
	}
	if err := att.wire.RecvMsg(msg); err != nil {
		s.endOfRace(att, err)
		return
	}
	if !s.desc.ServerStreams {
		att.call.response = msg
		att.finished(nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	att.head = msg
	s.win(att)
}

// prepare takes the win if the application waits for a header, and otherwise
// makes a message to receive into.
func (s *clientStream) prepare(att *attempt, hasHeader bool) (msg any, won bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hasHeader && s.race.wantHeader {
		s.win(att)
		return nil, true, nil
	}
	if s.race.like == nil {
		return new(emptypb.Empty), false, nil // no header: there is no message either
	}
	if err := s.race.likeErr; err != nil {
		att.endLocked(err)
		return nil, false, err
	}
	msg, err = newLike(s.race.like)
	return msg, false, err
}

// endOfRace ends an attempt that got no message. An OK end is a win.
func (s *clientStream) endOfRace(att *attempt, err error) {
	if err == io.EOF {
		s.mu.Lock()
		s.win(att)
		s.mu.Unlock()
	}
	att.finished(err)
}

// win gives the application the attempt and ends the others. The lock is held.
func (s *clientStream) win(att *attempt) {
	if s.race.winner != nil {
		return
	}
	s.race.winner = att
	s.committed = true
	s.latest = att
	if !att.ended {
		s.current = att
	}
	for _, other := range s.race.attempts {
		if other != att {
			other.cancel()
		}
	}
	s.cond.Broadcast()
}
