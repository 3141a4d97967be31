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
	return s.committed
}

// discard discards what is received of the current attempt from now on, also of one that is being opened or
// was not made yet, and of concurrent ones. It reports whether the stream is not committed.
func (s *clientStream) discard(c *Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		return false
	}
	if s.race != nil {
		for _, a := range s.race.attempts {
			a.discarded = a.discarded || a.call.within(c)
		}
	}
	switch {
	case c != &s.call:
	case s.made != nil && !s.made.ended:
		s.made.discarded = true
	default:
		s.discards = c.depth.Load() + 1
	}
	s.cond.Broadcast()
	return true
}

// discardsNoMore is called before a repeated next at place i: if that is the one whose interceptor has called
// Discard, or an outer one, the attempts that follow are others than the one that was discarded before it was made.
func (s *clientStream) discardsNoMore(i int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i < s.discards {
		s.discards = 0
	}
}
