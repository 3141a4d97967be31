package h2

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2/hpack"
)

// Queue has the callers that wait for a stream on any of several connections, which have the
// queue in their Config. A connection that can have another stream reserves it for the first
// caller, and wakes only that one. The zero value is ready for use. Its methods are safe for
// concurrent use.
type Queue struct {
	length atomic.Int32 // of waiting; saves connections the lock

	mu      sync.Mutex // guards the following; taken with the lock of a connection held
	waiting list.List  // of *waiter, by number
	last    uint64     // the last number
}

// waiter is a caller that waits.
type waiter struct {
	number uint64        // of its place in the order
	left   chan struct{} // closed when the caller was removed from the queue
	conn   *Conn         // has reserved a stream; nil if none has
	place  *list.Element // guarded by the queue's lock, as conn is until left is closed
}

// Len returns the number of callers that wait.
func (q *Queue) Len() int { return int(q.length.Load()) }

// Open waits for a stream and opens it. Callers get streams in their order. conns returns the
// connections of the queue. It is called while the caller is in the queue, so that none that
// follows is missed. Open returns ErrFull if there are none, or after Wake; then the caller must
// look for other connections. header is called at the end of the wait.
func (q *Queue) Open(ctx context.Context, header func() []hpack.HeaderField, conns func() []*Conn) (*Stream, error) {
	w := new(waiter)
	for {
		s, err := q.openOnce(ctx, w, header, conns)
		if !errors.Is(err, errLess) {
			return s, err
		}
	}
}

// errLess is the error if the peer has reduced the number of streams after one was reserved.
var errLess = errors.New("there are fewer streams")

// openOnce is one turn of Open.
func (q *Queue) openOnce(
	ctx context.Context, w *waiter, header func() []hpack.HeaderField, conns func() []*Conn,
) (*Stream, error) {
	q.join(w)
	all := conns()
	for _, c := range all {
		c.offer()
	}
	var err error
	if len(all) == 0 {
		err = ErrFull
	} else {
		select {
		case <-w.left:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	c := q.leave(w)
	if c == nil {
		if err == nil {
			err = ErrFull
		}
		return nil, err
	}
	return c.openReserved(header, err)
}

// openReserved opens the stream that was reserved, or returns it to others if err is not nil.
func (c *Conn) openReserved(header func() []hpack.HeaderField, err error) (s *Stream, _ error) {
	var fields []hpack.HeaderField
	if err == nil {
		fields = header()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken--
	if err == nil {
		if s, err = c.open(fields); errors.Is(err, ErrFull) {
			err = errLess
		}
	}
	if err != nil {
		c.released()
	}
	return s, err
}

// offer reserves the streams that the connection can have for callers that wait.
func (c *Conn) offer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released()
}

// join adds a caller, at the place that it had if it was in the queue before.
func (q *Queue) join(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w.left, w.conn = make(chan struct{}), nil
	before := q.waiting.Front()
	if w.number == 0 {
		q.last++
		w.number, before = q.last, nil
	}
	for before != nil && waiterOf(before).number < w.number {
		before = before.Next()
	}
	if before == nil {
		w.place = q.waiting.PushBack(w)
	} else {
		w.place = q.waiting.InsertBefore(w, before)
	}
	q.length.Add(1)
}

func waiterOf(place *list.Element) *waiter {
	w, _ := place.Value.(*waiter)
	return w
}

// leave removes a caller. It returns the connection that has reserved a stream, if there is one.
func (q *Queue) leave(w *waiter) *Conn {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(w)
	return w.conn
}

// remove removes a caller unless it was removed before. The caller holds the lock.
func (q *Queue) remove(w *waiter) {
	if w.place == nil {
		return
	}
	q.waiting.Remove(w.place)
	w.place = nil
	q.length.Add(-1)
	close(w.left)
}

// wakeFirst wakes the first caller with a connection, or with nil. It returns false if none waits.
func (q *Queue) wakeFirst(c *Conn) bool {
	if q.length.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.waiting.Front()
	if first == nil {
		return false
	}
	w := waiterOf(first)
	w.conn = c
	q.remove(w)
	return true
}

// Wake ends the wait of all callers. Call it when the queue has no connections any more.
func (q *Queue) Wake() {
	for q.wakeFirst(nil) {
	}
}
