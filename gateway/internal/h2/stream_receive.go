package h2

import (
	"context"
	"io"

	"golang.org/x/net/http2/hpack"
)

// Header waits for the header list of the peer. Call it once: the caller owns the list.
func (s *Stream) Header(ctx context.Context) (fields []hpack.HeaderField, err error) {
	err = s.await(ctx, &s.canReceive, func() bool {
		if s.hasHeader {
			fields, s.header = s.header, nil
		}
		return s.hasHeader
	})
	return fields, err
}

// Answered reports whether the header list of the peer has arrived.
func (s *Stream) Answered() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.hasHeader
}

// Trailer returns the trailer, and whether there is one. Call it after Next has returned
// io.EOF.
func (s *Stream) Trailer() ([]hpack.HeaderField, bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.trailers, s.trailers != nil
}

// Oversized reports whether the received header is above the limit. It then has only
// :status, :method, :path, content-type, grpc-status and grpc-message, if they were among its
// first fields, and at most 1 KiB of each.
func (s *Stream) Oversized() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.oversized
}

// OversizedTrailer is Oversized for the trailer, which may be the header.
func (s *Stream) OversizedTrailer() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.oversizedT || s.headerEnds && s.oversized
}

// await waits until done or an error. event is one of the channels of the stream.
func (s *Stream) await(ctx context.Context, event *chan struct{}, done func() bool) error {
	for {
		s.c.mu.Lock()
		ok, err := done(), s.err
		if *event == nil && !ok && err == nil {
			*event = make(chan struct{}, 1)
		}
		event := *event
		s.c.mu.Unlock()
		if ok || err != nil {
			if ok {
				return nil
			}
			return err
		}
		select {
		case <-event:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Next waits for data and returns at most n bytes of it. It returns io.EOF at the end of
// the peer's direction. Data that was received before an error comes before the error. The
// caller must call Credit for it, when it has passed the data on.
func (s *Stream) Next(ctx context.Context, n int) (data []byte, err error) {
	err = s.await(ctx, &s.canReceive, func() bool {
		if len(s.chunks) == 0 {
			err = io.EOF
			return s.received // also if there was an error later
		}
		first := s.chunks[0]
		data, err = first[:min(n, len(first)):min(n, len(first))], nil
		if s.unreturned += len(data); len(data) < len(first) {
			s.chunks[0] = first[len(data):]
		} else {
			s.chunks[0] = nil
			s.chunks = s.chunks[1:]
		}
		return true
	})
	if err == nil && data == nil {
		err = io.EOF
	}
	return data, err
}

// Take returns the first n bytes that were received, if they are in one piece, or nil. It does
// not wait. size returns n for the data of the piece; 0 means that it cannot be taken like that.
// The caller must call Credit for them, when it has passed them on.
func (s *Stream) Take(size func(piece []byte) (n int)) []byte {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if len(s.chunks) == 0 {
		return nil
	}
	first := s.chunks[0]
	n := size(first)
	if n == 0 || n > len(first) {
		return nil
	}
	if s.chunks[0] = first[n:]; n == len(first) {
		s.chunks[0] = nil
		s.chunks = s.chunks[1:]
	}
	s.unreturned += n
	return first[:n:n]
}

// Complete reports whether the peer has ended its direction and at most n bytes are left to
// receive.
func (s *Stream) Complete(n int) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.received && s.err == nil && s.held <= n
}

// Ready reports whether Next returns at once.
func (s *Stream) Ready() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.ready()
}

// ready is Ready for callers that hold the lock.
func (s *Stream) ready() bool { return len(s.chunks) > 0 || s.received || s.err != nil }

// OnReady calls f once when Next returns at once: now, or later on the goroutine of the reader. f
// must not block. It is not called if the stream fails or is closed first, and not after
// [Conn.Serve] has returned.
func (s *Stream) OnReady(f func()) {
	s.c.mu.Lock()
	now := s.ready()
	if !now && !s.closed {
		s.onReady = f
	}
	s.c.mu.Unlock()
	if now {
		f()
	}
}

// TrailersOnly reports whether the header list of the peer was all that it sent. Call it
// after Header.
func (s *Stream) TrailersOnly() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.headerEnds
}
