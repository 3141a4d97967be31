package hauberk

import (
	"context"
	"io"

	"google.golang.org/protobuf/types/known/emptypb"
)

// race is what attempts beside each other share: which of them the application
// receives from. It is guarded by the stream's mutex.
type race struct {
	demanded chan struct{} // closed when the application wants something
	winner   *attempt
	attempts []*attempt
}

// demand is what the application waits for: attempts beside each other receive
// nothing ahead of that.
type demand struct {
	made    bool
	header  bool
	message messageType
}

// racing returns the race, from the first attempt that runs beside others on.
// The lock is held.
func (s *clientStream) racing() *race {
	if s.race == nil {
		s.race = &race{demanded: make(chan struct{})}
		if s.demand.made {
			close(s.race.demanded)
		}
	}
	return s.race
}

// want notes that the application waits for a message like msg or (nil) the
// header. The lock is held.
func (s *clientStream) want(msg any) {
	if msg == nil {
		s.demand.header = true
	} else if s.demand.message == (messageType{}) {
		s.demand.message = typeOf(msg)
	}
	if !s.demand.made && s.race != nil {
		close(s.race.demanded)
	}
	s.demand.made = true
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
	case <-s.race.demanded:
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
	if err := att.receiveWire(msg); err != nil {
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
	if hasHeader && s.demand.header {
		s.win(att)
		return nil, true, nil
	}
	if s.demand.message == (messageType{}) {
		return new(emptypb.Empty), false, nil // no header: there is no message either
	}
	if msg, err = s.demand.message.make(); err != nil {
		att.endLocked(err)
	}
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
