package h2

import "slices"

// Corks delays the wakeups of writers until the reader of a connection has reported all events of a
// read: the writers then encode all that was queued for them at once, and do not compete for the
// locks meanwhile. It belongs to one goroutine. nil delays nothing.
//
// Each goroutine that queues frames for a corked connection releases its own cork afterwards, and
// that wakes the writer if anything was queued. So no wakeup is lost, and none waits for longer than
// the goroutine needs for its events.
type Corks struct{ conns []*Conn }

// Add delays the wakeups of the writer that sends the frames of a stream.
func (k *Corks) Add(s *Stream) {
	if k == nil || k.has(s.c) {
		return
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	k.add(s.c)
}

func (k *Corks) has(c *Conn) bool { return slices.Contains(k.conns, c) }

// add is Add for callers that hold the lock.
func (k *Corks) add(c *Conn) {
	if k != nil && !k.has(c) {
		k.conns = append(k.conns, c)
		c.corked++
	}
}

// release wakes the writers that have something to write.
func (k *Corks) release() {
	for i, c := range k.conns {
		c.mu.Lock()
		c.corked--
		if c.unwoken {
			c.unwoken = false
			wake(c.wake)
		}
		c.mu.Unlock()
		k.conns[i] = nil
	}
	k.conns = k.conns[:0]
}

// Corks returns those of the reader that has accepted the stream. Only it may use them.
func (s *Stream) Corks() *Corks { return &s.c.corks }
