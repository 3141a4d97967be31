package h2

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// script is a connection that reads given bytes and discards what is written.
type script struct {
	mu     sync.Mutex
	data   []byte
	closed bool
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.data) == 0 || s.closed {
		return 0, io.EOF
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) { return len(p), nil }

func (s *script) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// Any bytes of a peer end the connection without a panic. What the connection holds is
// bounded, and nothing is left at its end.
func FuzzConn(f *testing.F) {
	seed := newRaw(&script{})
	block := string(seed.block(request...))
	headers := "\x00\x00" + string(rune(len(block))) + "\x01\x04\x00\x00\x00\x01" + block
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	f.Add(true, []byte(settings+headers+"\x00\x00\x05\x00\x01\x00\x00\x00\x01hello"))
	f.Add(true, []byte(settings+headers+"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08"))
	f.Add(true, []byte(settings+"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"))
	f.Add(false, []byte(settings+"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88\x00\x00\x05\x00\x00\x00\x00\x00\x01hello"))
	f.Add(false, []byte(settings+"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, server bool, data []byte) {
		var calls sync.WaitGroup
		use := func(s *Stream, respond bool) {
			defer s.Close()
			if respond {
				_ = s.WriteHeader([]hpack.HeaderField{{Name: ":status", Value: "200"}}, false)
			}
			for {
				data, err := s.Next(context.Background(), 100)
				if err != nil {
					break
				}
				if s.Write(context.Background(), data) != nil {
					break
				}
				s.Credit(len(data))
			}
			_ = s.WriteHeader([]hpack.HeaderField{{Name: "grpc-status", Value: "0"}}, true)
		}
		var c *Conn
		if server {
			nc := &script{data: append([]byte(http2.ClientPreface), data...)}
			c = NewServer(nc, Config{}, func(s *Stream) { calls.Go(func() { use(s, true) }) })
		} else {
			c = NewClient(&script{data: data}, Config{})
			for range 3 {
				s, err := c.Open(context.Background(), nil)
				if err != nil {
					t.Fatal(err)
				}
				calls.Go(func() { use(s, false) })
			}
		}
		if err := c.Serve(); err == nil {
			t.Error("Serve returned no error")
		}
		calls.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.live != 0 || len(c.streams) != 0 || c.queued != 0 || c.windows.lent != 0 ||
			c.in.avail+c.in.pending != c.in.size {
			t.Errorf("at the end: %d live, %d streams, %d bytes queued, %d lent, credit %+v",
				c.live, len(c.streams), c.queued, c.windows.lent, c.in)
		}
		if c.replies > maxReplies {
			t.Errorf("%d replies are queued", c.replies)
		}
	})
}
