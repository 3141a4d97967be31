package h2

import (
	"context"
	"errors"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// direction is the state of the sending side of a stream.
type direction int

const (
	sending direction = iota
	ending            // END_STREAM follows the queued data
	sentEnd
)

// Stream is one stream of a connection. One goroutine may receive while another one sends.
// The caller must call Close.
type Stream struct {
	c  *Conn
	id uint32

	// Guarded by c.mu.
	canReceive chan struct{} // has an element if there may be something to receive
	notified   bool          // the reader will wake canReceive
	canSend    chan struct{} // has an element if the data may have been sent; both are nil until a wait
	err        error         // why the stream has failed
	onEnd      func(error)   // see OnEnd
	onReady    func()        // see OnReady
	events     Events        // see Direct
	reportSent bool          // to events, when all data was encoded
	closed     bool

	abandoned bool // the client has reset it while its handler ran

	header     []hpack.HeaderField
	hasHeader  bool
	headerEnds bool                // END_STREAM was on the header
	oversized  bool                // the header
	oversizedT bool                // the trailer
	trailers   []hpack.HeaderField // of the peer
	received   bool                // END_STREAM
	chunks     [][]byte            // received
	begun      bool                // data was received
	held       int                 // bytes in chunks, and those that were taken without credit
	unreturned int                 // bytes of held that the caller has taken
	in         inflow
	lent       int // see windows

	sending direction
	out     [][]byte // to send
	outLen  int
	trailer []hpack.HeaderField // follows the data
	credit  int
	queued  bool // in c.ready

	// The first arrays of chunks and out, to save allocations.
	firstChunk [1][]byte
	firstOut   [2][]byte
}

func (c *Conn) newStream(id uint32) *Stream {
	s := &Stream{
		c: c, id: id,
		in: inflow{size: c.windows.applied, avail: c.windows.applied}, credit: c.peer.initial,
	}
	s.chunks, s.out = s.firstChunk[:0], s.firstOut[:0]
	c.streams[id] = s
	c.live++
	return s
}

// Open opens a stream of a client. It waits while the peer's limit of streams is reached. Callers
// that wait get streams in their order.
func (c *Conn) Open(ctx context.Context, header []hpack.HeaderField) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		s, err := c.open(header)
		if !errors.Is(err, ErrFull) {
			return s, err
		}
		if err := c.awaitStream(ctx); err != nil {
			return nil, err
		}
	}
}

// TryOpen is Open, but returns ErrFull instead of waiting.
func (c *Conn) TryOpen(header []hpack.HeaderField) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open(header)
}

// open is TryOpen for callers that hold the lock.
func (c *Conn) open(header []hpack.HeaderField) (*Stream, error) {
	switch {
	case c.err != nil:
		return nil, c.err
	case c.phase != open || c.nextID > maxStreamID:
		return nil, ErrDraining
	case c.room() <= 0:
		return nil, ErrFull
	}
	s := c.newStream(c.nextID)
	c.nextID += 2
	c.pushHeaders(s, header, false)
	return s, nil
}

// room returns the number of streams that can be opened now, without those for callers that were woken.
func (c *Conn) room() int {
	return min(c.peer.streams-len(c.streams), maxControl-len(c.control)) - c.woken
}

// awaitStream waits until there may be another stream. The caller holds the lock, which it gives up meanwhile.
func (c *Conn) awaitStream(ctx context.Context) error {
	wakeup := make(chan struct{})
	place := c.waiting.PushBack(wakeup)
	c.mu.Unlock()
	var err error
	select {
	case <-wakeup:
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.mu.Lock()
	select {
	case <-wakeup:
		c.woken--
	default:
		c.waiting.Remove(place)
	}
	if err != nil {
		c.released() // the stream for this caller
	}
	return err
}

// released wakes as many callers of Open as there may be further streams, or all if there can be none. Callers of
// [Queue.Open] come after them.
func (c *Conn) released() {
	n, usable := c.waiting.Len(), c.err == nil && c.phase == open
	if usable {
		n = min(n, c.room())
	}
	for ; n > 0; n-- {
		if wakeup, ok := c.waiting.Remove(c.waiting.Front()).(chan struct{}); ok {
			c.woken++
			close(wakeup)
		}
	}
	for q := c.config.Queue; usable && c.peer.known && q != nil && q.Len() > 0 && c.room() > 0 && q.wakeFirst(c); {
		c.woken++
	}
}

// Usable reports whether the connection can have new streams, now or later.
func (c *Conn) Usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && c.phase == open && c.nextID <= maxStreamID
}

// OnEnd sets a function that is called once if the stream fails by an event: a reset of the
// peer, or the end of the connection. It is called at once if the stream has failed. It
// must not block.
func (s *Stream) OnEnd(f func(error)) {
	s.c.mu.Lock()
	err := s.err
	if err == nil {
		s.onEnd = f
	}
	s.c.mu.Unlock()
	if err != nil {
		f(err)
	}
}

// Reset ends the stream with RST_STREAM, unless it has ended.
func (s *Stream) Reset(code http2.ErrCode) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.onEnd, s.events = nil, nil
	s.reset(code)
}

// Close releases what the stream holds. It resets the stream with CANCEL if that has not
// ended. A server that has queued the end of its direction needs no reset: the end is still
// sent, and then RST_STREAM with NO_ERROR if the client has not ended its direction.
func (s *Stream) Close() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.onEnd, s.onReady, s.events = nil, nil, nil
	s.release()
	switch {
	case s.c.streams[s.id] != s:
		s.gone() // otherwise retire calls it
	case !s.c.server || s.sending == sending:
		s.reset(http2.ErrCodeCancel)
	case s.sending == sentEnd:
		s.leave()
	}
}

// leave ends a server's closed stream whose response has been sent.
func (s *Stream) leave() {
	if s.c.server && s.closed {
		s.reset(http2.ErrCodeNo)
	}
}

// gone is called once, when the stream is closed and no longer one of the connection.
func (s *Stream) gone() {
	s.c.live--
	if s.abandoned {
		s.c.abandoned--
	}
	s.c.windows.lent -= s.lent
	s.lent = 0
}

// reset ends the stream on this side. The function of OnEnd is called on another goroutine.
func (s *Stream) reset(code http2.ErrCode) {
	if s.err != nil || s.sending == sentEnd && s.received {
		return
	}
	err := ResetError{code, false}
	f := s.end(err, false)
	s.c.push(control{kind: sendReset, reply: s.c.server, id: s.id, code: code})
	if f != nil {
		go f(err)
	}
}

// end sets the error of the stream. Received data stays if keep. It returns the function to
// call without the lock.
func (s *Stream) end(err error, keep bool) (callback func(error)) {
	if s.err == nil {
		s.err = err
		callback, s.onEnd = s.onEnd, nil
		if s.events != nil {
			callback = reportReceived(s.events)
		}
	}
	s.onReady = nil
	s.dropOut()
	if !keep {
		s.release()
	}
	wake(s.canReceive)
	s.retire()
	return callback
}

// dropOut discards what is to be sent.
func (s *Stream) dropOut() {
	s.c.queued -= s.outLen
	s.out, s.outLen, s.trailer = nil, 0, nil
	wake(s.canSend)
}

// release discards received data. The connection's credit returns to the peer.
func (s *Stream) release() {
	s.c.taken(s.held)
	s.chunks, s.held, s.unreturned = nil, 0, 0
}

// sent is called when this side has ended its direction.
func (s *Stream) sent() {
	if s.err != nil {
		return
	}
	s.sending = sentEnd
	s.dropOut()
	if s.received {
		s.retire()
		return
	}
	s.leave()
}

// receivedEnd is called when the peer has ended its direction.
func (s *Stream) receivedEnd() {
	s.received = true
	if s.sending == sentEnd {
		s.retire()
	}
}

// retire removes the stream from the connection.
func (s *Stream) retire() {
	if s.c.streams[s.id] == s {
		delete(s.c.streams, s.id)
		if s.closed {
			s.gone()
		}
		s.c.released()
		s.c.closeIfDone()
	}
}

// onHeaders receives the response header or the trailer.
func (s *Stream) onHeaders(f *http2.MetaHeadersFrame) error {
	defer s.c.notify(s)
	switch {
	case s.received:
		s.reset(http2.ErrCodeStreamClosed)
		return nil
	case !s.hasHeader && interim(f):
		if f.StreamEnded() {
			s.reset(http2.ErrCodeProtocol)
		}
		return s.c.useless()
	case !s.hasHeader:
		s.hasHeader, s.headerEnds = true, f.StreamEnded()
		s.header, s.oversized = s.c.bounded(f)
	case !f.StreamEnded() || len(f.PseudoFields()) > 0:
		s.reset(http2.ErrCodeProtocol)
		return nil
	default:
		s.trailers, s.oversizedT = s.c.bounded(f)
	}
	if f.StreamEnded() {
		s.receivedEnd()
	}
	return nil
}

// interim reports whether a response has a status 1xx.
func interim(f *http2.MetaHeadersFrame) bool {
	code := f.PseudoValue("status")
	return len(code) == 3 && code[0] == '1'
}
