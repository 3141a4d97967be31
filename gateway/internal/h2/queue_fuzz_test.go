package h2

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// FuzzQueue makes callers wait, ends their streams and contexts, and changes the limits of streams. At rest no caller
// waits while there is room, nothing stays reserved, and callers that have waited got streams in their order.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 9, 2, 0, 3, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 3, 19, 1, 5, 1, 3, 2, 6, 10, 0, 1})
	f.Add([]byte{0, 0, 0, 0, 2, 2, 2, 0, 0, 7, 3, 11, 15, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 60 {
			return
		}
		synctest.Test(t, func(t *testing.T) { runQueue(t, ops) })
	})
}

// queueCaller is one caller of Open.
type queueCaller struct {
	cancel context.CancelFunc
	stream *Stream // nil while it waits, and after the end
	ended  bool
}

func runQueue(t *testing.T, ops []byte) {
	t.Helper()
	p := startPool(t, 2, 1)
	defer p.stop()
	var (
		calls   sync.WaitGroup
		mu      sync.Mutex
		callers []*queueCaller
		last    int // the last caller that got a stream after a wait
	)
	open := func() {
		ctx, cancel := context.WithCancel(t.Context())
		c, number := &queueCaller{cancel: cancel}, len(callers)
		callers = append(callers, c)
		calls.Go(func() {
			s, err := p.open(ctx)
			mu.Lock()
			defer mu.Unlock()
			c.stream, c.ended = s, err != nil
			if err == nil && number < last {
				t.Errorf("caller %d got a stream after caller %d", number, last)
			}
			if err == nil {
				last = number
			} else if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	end := func(c *queueCaller) {
		c.cancel()
		synctest.Wait()
		if c.stream != nil {
			c.stream.Close()
			c.stream, c.ended = nil, true
		}
	}
	for _, op := range ops {
		n := int(op >> 2)
		switch op % 4 {
		case 0:
			open()
		case 1, 2:
			if len(callers) > 0 {
				end(callers[n%len(callers)])
			}
		case 3: // one stream more or less, and never more than one caller for the new one
			conn := p.conns[n%2]
			conn.mu.Lock()
			conn.peer.streams = min(1+n/2%3, len(conn.streams)+1)
			conn.released()
			conn.mu.Unlock()
		}
		synctest.Wait()
		p.check(t)
	}
	for _, c := range callers {
		end(c)
	}
	calls.Wait()
	p.check(t)
}

// check checks the state at rest.
func (p *pool) check(t *testing.T) {
	t.Helper()
	for i, c := range p.conns {
		c.mu.Lock()
		room, woken := c.room(), c.woken
		c.mu.Unlock()
		if woken != 0 || room > 0 && p.queue.Len() > 0 {
			t.Errorf("connection %d: %d streams are reserved, there is room for %d, and %d callers wait",
				i, woken, room, p.queue.Len())
		}
	}
}
