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

// discard discards what is received of the current attempt from now on, also of one that is being
// opened, and reports whether the stream is not committed. Concurrent attempts go on.
func (s *clientStream) discard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.committed && s.made != nil && !s.made.ended && s.race == nil {
		s.made.discarded = true
		s.cond.Broadcast()
	}
	return !s.committed
}
