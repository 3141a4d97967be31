package h2

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2/hpack"
)

// pool is some connections to servers with a limit of streams, with one queue.
type pool struct {
	queue   Queue
	conns   []*Conn
	running sync.WaitGroup
}

func startPool(t *testing.T, conns, streams int) *pool {
	t.Helper()
	p := &pool{}
	for range conns {
		near, far := pipe(t)
		client := NewClient(near, Config{PingAfter: -1, Queue: &p.queue})
		server := NewServer(far, Config{}, func(s *Stream) {
			go func() {
				defer s.Close()
				_, _ = s.Next(t.Context(), 1)
				_ = s.WriteHeader([]hpack.HeaderField{{Name: ":status", Value: "200"}}, true)
			}()
		})
		p.running.Go(func() { _ = client.Serve() })
		p.running.Go(func() { _ = server.Serve() })
		<-client.Settled()
		synctest.Wait()
		client.mu.Lock()
		client.peer.streams = streams // a server would count streams that were reset until it has seen that
		client.mu.Unlock()
		p.conns = append(p.conns, client)
	}
	return p
}

func (p *pool) open(ctx context.Context) (*Stream, error) {
	for _, c := range p.conns {
		if s, err := c.TryOpen(requestHeader()); !errors.Is(err, ErrFull) {
			return s, err
		}
	}
	return p.queue.Open(ctx, requestHeader, func() []*Conn { return p.conns })
}

func requestHeader() []hpack.HeaderField {
	return []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: "/"},
		{Name: ":authority", Value: "a"},
	}
}

func (p *pool) stop() {
	for _, c := range p.conns {
		c.Close()
	}
	p.running.Wait()
}

// wait makes callers wait, one after the other. Their results arrive at the channel.
func (p *pool) wait(ctx context.Context, callers int, calls *sync.WaitGroup) <-chan result {
	opened := make(chan result, callers)
	for i := range callers {
		calls.Go(func() {
			s, err := p.open(ctx)
			opened <- result{i, s, err}
		})
		synctest.Wait()
	}
	return opened
}

type result struct {
	caller int
	stream *Stream
	err    error
}

// A stream that ends on any connection is that of the caller that has waited longest. No other one is woken.
func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns, streams, callers = 4, 2, 40
		p := startPool(t, conns, streams)
		defer p.stop()
		var held []*Stream
		for range conns * streams {
			s, err := p.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, s)
		}
		var calls sync.WaitGroup
		opened := p.wait(t.Context(), callers, &calls)
		for i := range callers {
			at := (i*5 + 3) % len(held) // the connections take no turns
			conn := held[at].c
			held[at].Close()
			synctest.Wait()
			if len(opened) != 1 || p.queue.Len() != callers-i-1 {
				t.Fatalf("%d callers have a stream and %d wait after the end of stream %d", len(opened), p.queue.Len(), i)
			}
			got := <-opened
			if got.err != nil || got.caller != i || got.stream.c != conn {
				t.Fatalf("caller %d got the stream of caller %d: %v", got.caller, i, got.err)
			}
			held[at] = got.stream
		}
		calls.Wait()
	})
}

// Callers whose contexts end leave the queue, also when they are about to get a stream. Streams are not lost by that,
// and a new caller does not overtake those that wait.
func TestQueueWithCancelledCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPool(t, 1, 1)
		defer p.stop()
		var calls sync.WaitGroup
		for range 100 {
			held, err := p.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancelled, second := p.wait(ctx, 2, &calls), p.wait(t.Context(), 1, &calls)
			held.Close()
			cancel() // at the same time
			for range 2 {
				if got := <-cancelled; got.err == nil {
					got.stream.Close()
				} else if !errors.Is(got.err, context.Canceled) {
					t.Fatal(got.err)
				}
			}
			got := <-second
			if got.err != nil {
				t.Fatal(got.err)
			}
			got.stream.Close()
			calls.Wait()
			synctest.Wait()
			if p.queue.Len() != 0 || p.conns[0].woken != 0 || len(p.conns[0].streams) != 0 {
				t.Fatalf("%d callers, %d reservations and %d streams are left",
					p.queue.Len(), p.conns[0].woken, len(p.conns[0].streams))
			}
		}
	})
}

// Callers wait for the connections that are left, and return when there are none.
func TestQueueWithLostConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPool(t, 2, 1)
		defer p.stop()
		for range 2 {
			if _, err := p.open(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var calls sync.WaitGroup
		opened := p.wait(t.Context(), 3, &calls)
		p.conns[0].Close()
		synctest.Wait()
		if p.queue.Len() != 3 {
			t.Errorf("%d callers wait, want 3", p.queue.Len())
		}
		p.queue.Wake()
		calls.Wait()
		for range 3 {
			if got := <-opened; !errors.Is(got.err, ErrFull) {
				t.Errorf("%v, want ErrFull", got.err)
			}
		}
		if _, err := p.queue.Open(t.Context(), requestHeader, func() []*Conn { return nil }); !errors.Is(err, ErrFull) {
			t.Errorf("without connections: %v", err)
		}
	})
}

// Callers keep their places if the peer reduces the number of streams after some were reserved.
func TestQueueWithFewerStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 10
		p := startPool(t, 1, 1)
		defer p.stop()
		held, err := p.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn := p.conns[0]
		var calls sync.WaitGroup
		opened := p.wait(t.Context(), callers, &calls)
		conn.mu.Lock()
		conn.peer.streams = callers
		conn.released() // wakes all callers but one, which need the lock
		conn.peer.streams = 1
		conn.mu.Unlock()
		synctest.Wait()
		if len(opened) != 0 || p.queue.Len() != callers {
			t.Fatalf("%d callers have a stream, and %d wait", len(opened), p.queue.Len())
		}
		for i := range callers {
			held.Close()
			got := <-opened
			if got.err != nil || got.caller != i {
				t.Fatalf("caller %d: %v, want caller %d", got.caller, got.err, i)
			}
			held = got.stream
		}
		calls.Wait()
	})
}
