package hauberk

// commit notes that the application is given something of an attempt: what is kept
// for replays is freed. It returns false if the attempt ended meanwhile, by an error
// in this process, or is discarded: the application may get the outcome of another.
func (s *clientStream) commit(a *attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.ended || a.discarded {
		return false
	}
	s.commitLocked(a)
	return true
}

func (s *clientStream) commitLocked(a *attempt) {
	if s.committed {
		return
	}
	s.committed = true
	for _, l := range a.path {
		l.buffer.free()
	}
	s.dropRequest(a)
	s.cond.Broadcast() // to senders that wait for the end
}

// isWaiting reports whether an operation of the application waits.
func (s *clientStream) isWaiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting > 0 || s.receiving || s.current != nil && s.current.sending
}

func (s *clientStream) isCommitted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed || s.resumer > 0
}

// discard discards what the next at a place receives from now on, in all attempts that are made until it is called
// again. It reports whether it does: not if the stream is committed for that place, or the next is one of an
// interceptor that has returned.
func (s *clientStream) discard(c *Call, place int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed || place < s.resumer || c.nexts.depth() < place {
		return false
	}
	more := c.lazy()
	if more.discards == 0 || place < more.discards {
		more.discards = place
	}
	if a := s.made; a != nil && a.call == c && !a.ended {
		a.discarded = true
	}
	if s.race != nil {
		for _, a := range s.race.attempts {
			a.discarded = a.discarded || a.call.within(c)
		}
	}
	s.cond.Broadcast()
	return true
}

// beginsAgain is called before another next at place i of a call, or of a copy of it. If that is the one which
// discard was called for, or an outer one, its attempts are not discarded. A message that was lost is received again by
// the hooks of the interceptor and inner ones, but outer hooks do not know that it was lost.
func (s *clientStream) beginsAgain(c *Call, i int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = min(s.lost, i)
	for ; c != nil && c.end == s; c = c.copyOf {
		if more := c.more.Load(); more != nil && i <= more.discards {
			more.discards = 0
		}
	}
}

// discards reports whether an attempt on a call is discarded before it is made. The lock is held.
func (s *clientStream) discards(c *Call) bool {
	for ; c != nil && c.end == s; c = c.copyOf {
		if more := c.more.Load(); more != nil && more.discards > 0 {
			return true
		}
	}
	return false
}
