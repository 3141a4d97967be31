package h2

// hasFrame reports whether the next frame is in the buffer.
func (c *Conn) hasFrame() bool {
	if c.br.Buffered() < frameHead {
		return false
	}
	b, err := c.br.Peek(frameHead)
	return err == nil && c.br.Buffered() >= frameHead+(int(b[0])<<16|int(b[1])<<8|int(b[2]))
}

// notify wakes the goroutine that receives from a stream, or calls the function of OnReady, when
// the reader has handled the frames that it has read: they often have the rest of what the
// goroutine waits for. Only the reader calls it.
func (c *Conn) notify(s *Stream) {
	if (s.canReceive != nil || s.onReady != nil || s.events != nil) && !s.notified {
		s.notified = true
		c.toWake = append(c.toWake, s)
	}
}

// deliver accepts the streams and wakes the goroutines that frames were received for.
func (c *Conn) deliver() {
	if len(c.toWake) > 0 {
		c.mu.Lock()
		for i, s := range c.toWake {
			s.notified = false
			wake(s.canReceive)
			if f := s.onReady; f != nil && s.ready() {
				s.onReady = nil
				c.toCall = append(c.toCall, f)
			}
			if s.events != nil {
				c.toReport = append(c.toReport, s.events)
			}
			c.toWake[i] = nil
		}
		c.mu.Unlock()
		c.toWake = c.toWake[:0]
	}
	for i, f := range c.toCall {
		f()
		c.toCall[i] = nil
	}
	c.toCall = c.toCall[:0]
	for i, events := range c.toReport {
		events.Received(&c.corks)
		c.toReport[i] = nil
	}
	c.toReport = c.toReport[:0]
	for i, s := range c.toAccept {
		c.accept(s)
		c.toAccept[i] = nil
	}
	c.toAccept = c.toAccept[:0]
	c.corks.release()
}
