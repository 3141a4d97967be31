package hauberk

import (
	"context"
	"io"

	"google.golang.org/protobuf/types/known/emptypb"
)

// race is what concurrent attempts share: which of them the application gets. The mutex
// of the stream guards it.
type race struct {
	demanded chan struct{} // closed when the application wants something
	winner   *Call         // the copy whose outcome the application gets
	attempts []*attempt
	outcomes map[*Call]*attempt // by copy, and by the call that has adopted one: the last that ended
}

// demand is what the application waits for: concurrent attempts receive nothing
// ahead of that.
type demand struct {
	made    bool
	header  bool
	message messageType
}

// racing returns the race, from the first concurrent attempt on. The lock is held.
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

// compete makes one of several concurrent attempts and returns when it has ended. A panic
// ends the others too.
func (s *clientStream) compete(ctx context.Context, call *Call, open opener) error {
	err, panicked := call.contain(func() error { return s.runRace(ctx, call, open) })
	if panicked {
		s.abandon(err)
	}
	return err
}

func (s *clientStream) runRace(ctx context.Context, call *Call, open opener) error {
	if s.desc.ClientStreams {
		return errInternal("%s streams its requests, so its attempts cannot run concurrently", call.method.full)
	}
	if err := s.awaitRequest(ctx); err != nil {
		return err
	}
	request, err := s.passedRequest(call, call.leg)
	if err != nil {
		if err == errRequestDropped { //nolint:errorlint // the identical error
			return ErrSuperseded
		}
		return err
	}
	a := new(attempt)
	a.init(ctx, s, call, open)
	a.begin()
	defer a.close()
	if err := s.enterRace(a); err != nil {
		return err
	}
	if a.enter(request) {
		s.receiveFirst(a)
	}
	err = a.wait()
	if s.supersedes(call) {
		return ErrSuperseded
	}
	s.note(a)
	return err
}

// note makes the metadata of an attempt that has ended that of the stream, unless
// another one has won or was adopted.
func (s *clientStream) note(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.wire == nil {
		return
	}
	s.race.noteOutcome(a.call, a)
	if s.race.winner == nil && s.race.outcomes[&s.call] == nil {
		s.latest = a
	}
}

func (r *race) noteOutcome(c *Call, a *attempt) {
	if r.outcomes == nil {
		r.outcomes = map[*Call]*attempt{}
	}
	r.outcomes[c] = a
}

// adopted makes the metadata of the attempt on a copy that of the call which adopts it.
func (s *clientStream) adopted(c, copied *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.race == nil {
		return
	}
	a := s.race.outcomes[copied]
	if a == nil {
		return
	}
	s.race.noteOutcome(c, a)
	if s.race.winner == nil && c == &s.call {
		s.latest = a
	}
}

// enterRace adds an attempt to the race. It returns an error if it comes too late.
func (s *clientStream) enterRace(a *attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.racing()
	r.attempts = append(r.attempts, a)
	a.discarded = s.discards(a.call)
	if s.broken == nil && (r.winner != nil || s.committed) {
		return ErrSuperseded
	}
	return s.broken
}

// supersedes reports whether another attempt than that on a copy has won. The copy has not
// lost if a copy of it has won.
func (s *clientStream) supersedes(c *Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.race != nil && s.race.winner != nil && !s.race.winner.within(c)
}

// winByOutcome lets a copy win that ends with OK, unless another attempt has won. Its
// replies are not delivered yet, so that the call is not committed.
func (s *clientStream) winByOutcome(c *Call) {
	if c == &s.call {
		return // of an adapter: all attempts are copies of it
	}
	s.mu.Lock()
	losers := s.win(c)
	s.mu.Unlock()
	losers.cancel()
}

// reopenRace lets others win when an interceptor outside of the winner attempts again.
func (s *clientStream) reopenRace(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.race == nil {
		return
	}
	delete(s.race.outcomes, c)
	if s.race.winner.within(c) {
		s.race.winner = nil
	}
}

// enter opens a concurrent attempt and sends its request.
func (a *attempt) enter(request any) bool {
	wire, err := a.connect()
	if err != nil {
		a.notOpened(err)
		return false
	}
	s := a.stream
	s.mu.Lock()
	a.wire, a.opening, a.ready, a.fed = wire, false, true, true
	s.mu.Unlock()
	switch err := a.transmit(request); {
	case err == nil:
		_ = a.closeWire()
	case !isEOF(err):
		a.finished(err) // the application does not receive from it
		return false
	}
	s.mu.Lock()
	s.opened = true
	if s.latest == nil {
		s.latest = a
	}
	s.cond.Broadcast()
	s.mu.Unlock()
	return true
}

// receiveFirst receives what decides the race, once the application wants it.
func (s *clientStream) receiveFirst(a *attempt) {
	select {
	case <-s.race.demanded:
	case <-a.ctx.Done():
		return
	}
	if !a.canAsk() {
		return
	}
	header, _ := a.header()
	var guess any // a message of the method's type, as an adapter may open another stream
	if a.adapted {
		guess, _ = a.newResponse()
	}
	msg, losers, err := s.decide(a, header != nil, guess)
	losers.cancel()
	if err != nil {
		a.finished(err)
	}
	if msg == nil {
		return
	}
	if err := a.receiveWire(msg); err != nil {
		s.endOfRace(a, err)
		return
	}
	if !s.desc.ServerStreams {
		a.answered(msg)
		return
	}
	s.mu.Lock()
	a.head = msg
	losers = s.winBy(a)
	s.mu.Unlock()
	losers.cancel()
}

// decide makes an attempt with a header the winner, if the application waits for
// the header, and otherwise makes a message to receive into: guess, if there is one.
func (s *clientStream) decide(a *attempt, hasHeader bool, guess any) (msg any, losers attempts, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hasHeader && s.demand.header {
		return nil, s.winBy(a), nil
	}
	if guess != nil {
		return guess, nil, nil
	}
	if s.demand.message == (messageType{}) {
		return new(emptypb.Empty), nil, nil // no header: there is no message either
	}
	msg, err = s.demand.message.make()
	return msg, nil, err
}

// endOfRace ends an attempt that got no message. An OK end wins.
func (s *clientStream) endOfRace(a *attempt, err error) {
	if err == io.EOF {
		s.mu.Lock()
		losers := s.winBy(a)
		s.mu.Unlock()
		losers.cancel()
	}
	a.ends(err)
}

type attempts []*attempt

func (as attempts) cancel() {
	for _, a := range as {
		a.cancel()
	}
}

// winBy gives the application an attempt, unless another has won or it is discarded, and returns
// those that have lost, to be cancelled. The lock is held.
func (s *clientStream) winBy(a *attempt) (losers attempts) {
	if s.racing().winner != nil || a.discarded {
		return nil
	}
	losers = s.win(a.call)
	s.commitLocked(a)
	if !a.ended {
		s.current = a
	}
	return losers
}

// win makes a copy the winner, unless there is one, and returns the attempts that have
// lost, to be cancelled. The lock is held.
func (s *clientStream) win(c *Call) (losers attempts) {
	r := s.racing()
	if r.winner != nil {
		return nil
	}
	r.winner, s.latest = c, nil
	for _, a := range r.attempts {
		switch {
		case !a.call.within(c):
			losers = append(losers, a)
		case a.wire != nil:
			s.latest = a // its header and trailer are those of the outcome
		}
	}
	s.cond.Broadcast()
	return losers
}
