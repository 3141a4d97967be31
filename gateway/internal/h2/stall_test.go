package h2

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2/hpack"
)

// Streams whose data is not taken fill a part of the window only, so that another stream goes
// on. When their data is taken, they end, and the windows are as before.
func TestStalledStreamsLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, streams = 256 << 10, 900
		b := newBook()
		near, far := pipe(t)
		release := make(chan struct{})
		receive := func(s *Stream) {
			defer s.Close()
			header, _ := s.Header(t.Context())
			if header[0].Value != "GET" {
				<-release
			}
			n := 0
			for {
				data, err := s.Next(t.Context(), 1<<20)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Error(err)
					return
				}
				n += len(data)
				s.Credit(len(data))
			}
			if n != size {
				t.Errorf("%d bytes arrived, want %d", n, size)
			}
			_ = s.WriteHeader([]hpack.HeaderField{{Name: ":status", Value: "200"}}, true)
		}
		client := NewClient(&watched{Conn: near, book: b, side: 0}, Config{PingAfter: -1})
		server := NewServer(&watched{Conn: far, book: b, side: 1}, Config{}, func(s *Stream) { go receive(s) })
		var running, calls sync.WaitGroup
		running.Go(func() { _ = client.Serve() })
		running.Go(func() { _ = server.Serve() })
		payload := make([]byte, size)
		call := func(method string) {
			s, err := client.Open(context.Background(), []hpack.HeaderField{
				{Name: ":method", Value: method},
				{Name: ":scheme", Value: "http"},
				{Name: ":path", Value: "/"},
				{Name: ":authority", Value: "a"},
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := s.Write(context.Background(), payload); err != nil {
				t.Error(err)
			}
			_ = s.End()
			if _, err := s.Header(context.Background()); err != nil {
				t.Error(err)
			}
		}
		for range streams {
			calls.Go(func() { call("POST") })
		}
		synctest.Wait()
		check := func(when string) {
			server.mu.Lock()
			defer server.mu.Unlock()
			if held := server.in.held(); held > server.config.Window || server.in.size > server.config.Window {
				t.Errorf("%s: %d bytes are held, the window is %d", when, held, server.in.size)
			}
			for _, s := range server.streams {
				if s.in.size != server.windows.applied+s.lent || len(server.windows.changes) > 0 {
					t.Errorf("%s: a stream's window is %d, want %d", when, s.in.size, server.windows.applied+s.lent)
					break
				}
			}
		}
		check("stalled")
		server.mu.Lock()
		if level := server.windows.level; level != 2 {
			t.Errorf("the level is %d, want 2", level)
		}
		server.mu.Unlock()
		for range 3 {
			call("GET") // would not return if the others stopped it
		}
		check("with another")
		close(release)
		calls.Wait()
		synctest.Wait()
		check("at the end")
		server.mu.Lock()
		if w := server.windows; w.level != 0 || w.applied != w.initial[0] || w.lent != 0 || server.in.held() != 0 ||
			server.in.size-server.in.excess != w.base() {
			t.Errorf("at the end: %+v, %+v", w, server.in)
		}
		server.mu.Unlock()
		for _, side := range b.sides {
			for _, err := range side.errs {
				t.Error(err)
			}
		}
		server.Drain()
		running.Wait()
	})
}
