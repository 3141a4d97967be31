package h2

import "golang.org/x/net/http2/hpack"

// Events has the functions that are called for a stream whose caller has no goroutine that waits.
// They run without the lock, and may run concurrently. They must not block.
type Events interface {
	// Received is called when Receive may return something new: after all frames that one read
	// has returned were handled, or when the stream has failed. Of the corks, which may be nil, it may
	// use Add before it uses a stream.
	Received(*Corks)
	// Sent is called when the data of a call of [Stream.Pass] that returned false was encoded. It
	// runs on the goroutine of the writer. It is not called if the stream fails first.
	Sent()
	// Interrupted is called by [Conn.Interrupt].
	Interrupted(err error)
}

// Direct sets the functions for the events of a stream. What has happened before is not reported. It
// returns the error of a stream that has failed. [Stream.Close] and [Stream.Reset] end the events,
// except for those that are being reported.
func (s *Stream) Direct(events Events) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.events = events
	return s.err
}

// TryDirect is [Conn.TryOpen] for a stream with events. The first event may be reported before it
// returns.
func (c *Conn) TryDirect(header []hpack.HeaderField, events Events, corks *Corks) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	corks.add(c)
	s, err := c.open(header)
	if err == nil {
		s.events = events
	}
	return s, err
}

// Request returns the header list of a client, and whether it is above the limit. The stream keeps
// the list, so that it must not be modified.
func (s *Stream) Request() (fields []hpack.HeaderField, oversized bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.header, s.oversized
}

// Batch is what [Stream.Receive] returns.
type Batch struct {
	// Header is the header list of the peer, if it has arrived since the last call.
	Header []hpack.HeaderField
	// Data is the data, in pieces, and Size its number of bytes. The caller must call [Stream.Credit]
	// for it, when it has passed it on.
	Data [][]byte
	Size int
	// HasHeader reports that the header list of the peer has arrived, now or before.
	HasHeader bool
	// Ended reports that the peer has ended its direction.
	Ended bool
	// Err is why the stream has failed. Data that was received before, and the end of the peer's
	// direction, are still valid if the peer has reset the stream.
	Err error
}

// Receive returns what has arrived since the last call, without waiting.
func (s *Stream) Receive() (b Batch) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	b.HasHeader, b.Ended, b.Err = s.hasHeader, s.received, s.err
	b.Header, s.header = s.header, nil
	b.Data, s.chunks = s.chunks, nil
	for _, piece := range b.Data {
		b.Size += len(piece)
	}
	s.unreturned += b.Size
	return b
}

// Pass queues data, which must not be modified afterwards, and the end of this side's direction
// if end. It never waits. sent reports whether flow control permits to send the data and little is
// queued: then the caller may pass on more. Otherwise [Events.Sent] is called later.
func (s *Stream) Pass(data [][]byte, end bool) (sent bool, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.writable(); err != nil {
		return false, err
	}
	sent = s.queue(data) || s.outLen == 0
	s.reportSent = !sent
	if end {
		s.finish()
	}
	return sent, nil
}

// Failed returns why the stream has failed, or nil.
func (s *Stream) Failed() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.err
}

// reportReceived reports the failure of a stream.
func reportReceived(events Events) func(error) { return func(error) { events.Received(nil) } }
