package h2

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2/hpack"
)

// Callers of Open that wait for a stream get one in their order, each when a stream ends. A caller whose context ends
// leaves its turn to the next one, also if it was about to get a stream.
func TestWaitingCallersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 60
		near, far := pipe(t)
		client := NewClient(near, Config{PingAfter: -1})
		server := NewServer(far, Config{MaxStreams: 1}, func(s *Stream) {
			go func() {
				defer s.Close()
				_, _ = s.Next(t.Context(), 1)
				_ = s.WriteHeader([]hpack.HeaderField{{Name: ":status", Value: "200"}}, true)
			}()
		})
		var running, calls sync.WaitGroup
		running.Go(func() { _ = client.Serve() })
		running.Go(func() { _ = server.Serve() })
		<-client.Settled()
		opened := make(chan int, callers)
		release := make(chan struct{})
		var cancels []context.CancelFunc
		for i := range callers {
			ctx, cancel := context.WithCancel(t.Context())
			cancels = append(cancels, cancel)
			calls.Go(func() {
				s, err := client.Open(ctx, []hpack.HeaderField{
					{Name: ":method", Value: "POST"},
					{Name: ":scheme", Value: "http"},
					{Name: ":path", Value: "/"},
					{Name: ":authority", Value: "a"},
				})
				if err != nil {
					if !errors.Is(err, context.Canceled) || i%3 == 0 {
						t.Errorf("caller %d: %v", i, err)
					}
					return
				}
				opened <- i
				<-release
				if next := i + 1; next%3 == 2 && next < callers {
					s.Close()
					cancels[next]() // while it gets the stream
					return
				}
				s.Close()
			})
			synctest.Wait()
			if i%6 == 1 {
				cancel()
			}
		}
		close(release)
		calls.Wait()
		close(opened)
		last, n := -1, 0
		for i := range opened {
			if i < last {
				t.Errorf("caller %d got a stream after caller %d", i, last)
			}
			last, n = i, n+1
		}
		if n < callers/3 {
			t.Errorf("%d callers got a stream, want at least %d", n, callers/3)
		}
		client.Close()
		running.Wait()
		for _, cancel := range cancels {
			cancel()
		}
	})
}
