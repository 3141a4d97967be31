package h2

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// The capacities of a chunk for small frames, in bytes, after the first frame of a stream: if no
// other data of the stream is held, or much is held by the connection, and otherwise. A frame is
// put into the chunk before if that has room, so that small frames need little memory.
const (
	leastChunk = 512
	largeChunk = 2 << 10
)

// hold keeps received data.
func (s *Stream) hold(data []byte) {
	if len(data) == 0 {
		return
	}
	s.held += len(data)
	defer func() { s.begun = true }()
	if n := len(s.chunks); n > 0 {
		last := s.chunks[n-1]
		part := min(cap(last)-len(last), len(data))
		s.chunks[n-1] = append(last, data[:part]...)
		data = data[part:]
	}
	if len(data) > 0 {
		size := len(data)
		switch {
		case len(s.chunks) > 0 && s.c.windows.level == 0: // then the caller takes many messages at once
			size = max(size, largeChunk)
		case s.begun: // otherwise it is probably all of a unary call
			size = max(size, leastChunk)
		}
		s.chunks = append(s.chunks, append(make([]byte, 0, size), data...))
	}
}

// Credit lets the peer send n further bytes, after the caller has passed on as much.
func (s *Stream) Credit(n int) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	n = min(n, s.unreturned) // 0 after the stream has failed
	s.unreturned -= n
	s.held -= n
	s.taken(n)
}

// taken returns credit of the stream and of the connection to the peer.
func (s *Stream) taken(n int) {
	s.c.taken(n)
	s.returned(n)
}

// returned returns credit of the stream to the peer.
func (s *Stream) returned(n int) {
	if s.received || s.err != nil {
		return
	}
	inc := s.in.take(n, s.in.size/2)
	if inc == 0 {
		return
	}
	if more := s.c.windows.lend(s.in.size); more > 0 {
		s.lent += more
		s.in.resize(more)
		inc += more
	}
	s.c.push(control{kind: sendUpdate, id: s.id, n: uint32(inc)})
}

// errEnded is the error of writes after the end of this side's direction.
var errEnded = errors.New("this side of the stream has ended")

// ErrHeaderTooLarge is the error of header lists above the peer's limit.
var ErrHeaderTooLarge = errors.New("the header list is larger than the peer accepts")

// writable returns why the stream cannot send.
func (s *Stream) writable() error {
	if s.err != nil {
		return s.err
	}
	if s.sending != sending {
		return errEnded
	}
	return nil
}

// WriteHeader queues a copy of a header list, such as a response header. If end, it is the last frame
// of this side and follows the data that is queued.
func (s *Stream) WriteHeader(fields []hpack.HeaderField, end bool) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	size := uint32(0)
	for _, f := range fields {
		size += f.Size()
	}
	switch {
	case size > s.c.peer.headerList:
		return ErrHeaderTooLarge
	case end && s.outLen > 0:
		s.trailer = slices.Clone(fields)
	default:
		s.c.pushHeaders(s, fields, end)
	}
	if end {
		s.sending = ending
	}
	return nil
}

// End ends this side's direction after the data that is queued.
func (s *Stream) End() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	s.finish()
	return nil
}

// finish is End for callers that hold the lock.
func (s *Stream) finish() {
	s.sending = ending
	if s.outLen == 0 {
		s.c.push(control{kind: sendEnd, id: s.id, stream: s, end: true})
	}
}

// maxQueued is the number of bytes on a connection up to which writes return at once.
const maxQueued = 64 << 10

// Write queues data, which must not be modified afterwards. It returns when the writer has
// encoded the data, or at once if flow control permits to send it and little is queued. If
// ctx ends first, the rest is discarded, and the caller must end the stream.
func (s *Stream) Write(ctx context.Context, data ...[]byte) error {
	s.c.mu.Lock()
	if err := s.writable(); err != nil {
		s.c.mu.Unlock()
		return err
	}
	waits := s.outLen > 0
	s.c.mu.Unlock()
	empty := func() bool { return s.outLen == 0 }
	if waits {
		if err := s.await(ctx, &s.canSend, empty); err != nil {
			return s.cut(err)
		}
	}
	if done, err := s.enqueue(data); done || err != nil {
		return err
	}
	if err := s.await(ctx, &s.canSend, func() bool { return empty() && s.err == nil }); err != nil {
		return s.cut(err)
	}
	return nil
}

// Queue is Write for little data: it never waits.
func (s *Stream) Queue(data ...[]byte) error {
	_, err := s.enqueue(data)
	return err
}

// enqueue returns whether the caller need not wait.
func (s *Stream) enqueue(data [][]byte) (done bool, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.writable(); err != nil {
		return false, err
	}
	return s.queue(data), nil
}

// smallQueue is the number of bytes that are queued on a connection from which on small data with a large array,
// such as a chunk, is copied. Otherwise a peer that does not read could make the queue hold many times its size.
const smallQueue = 1 << 10

// queue is enqueue for callers that hold the lock.
func (s *Stream) queue(data [][]byte) (done bool) {
	for _, d := range data {
		if len(d) > 0 {
			if s.c.queued >= smallQueue && cap(d) >= 4*len(d) {
				d = bytes.Clone(d)
			}
			s.out = append(s.out, d)
			s.outLen += len(d)
			s.c.queued += len(d)
		}
	}
	s.schedule()
	return s.outLen <= s.credit && s.c.queued <= min(s.c.credit, maxQueued)
}

// cut discards data whose write was given up.
func (s *Stream) cut(err error) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.sending == sending {
		s.dropOut()
	}
	return err
}

// schedule makes the stream take turns if it can send.
func (s *Stream) schedule() {
	if s.queued || s.outLen == 0 || s.credit <= 0 || s.err != nil {
		return
	}
	s.queued = true
	s.c.ready.push(s)
	s.c.wakeWriter()
}
