package ratelimit

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/internal/quota"
)

const (
	maxWaiting = 1 << 16 // messages of an interceptor that wait at a time
	maxAsking  = 16      // messages that ask at a time, of a queue and before they wait
)

// queues are the messages of an interceptor that wait for permits, by quota:
//
//	message ──▶ no one waits ──▶ ask ──permits──▶ done
//	               │              │
//	          others wait     no permits
//	               ▼              ▼
//	             queue ───▶ turn: ask ──permits──▶ done
//	              ▲ ▲             │ no permits
//	              │ └── others ───┤
//	              │               └── head ──▶ sleep, ask again
//	              └── another quota has the longer wait
//
// While there are no permits, only the head of a queue asks, so that a store gets few requests however many
// messages wait, and an expensive message is not overtaken until its permits are gone. If permits are there,
// so that messages need not sleep, more of them ask at a time: 2, 4 and so on. The mutex guards everything
// except the counts.
type queues struct {
	mu     sync.Mutex
	all    map[quotaID]*queue
	count  atomic.Int32 // messages that wait
	asking atomic.Int32 // messages that ask before they wait
}

// quotaID identifies a quota in this process.
type quotaID struct {
	limit *limit
	at    quota.Place
	key   string
}

func (d *demand) id() quotaID { return quotaID{d.limit, d.at, string(d.key)} }

// queue is the messages that wait for one quota. It is not empty.
type queue struct {
	id          quotaID
	first, last *waiter
	permits     float64   // that all of them wait for
	ready       time.Time // when the head asks next; zero before it has asked
	asking      int       // messages whose turn it is
	width       int       // how many of them there may be
}

// waiter is a message that waits.
type waiter struct {
	of         *queues
	queue      *queue
	permits    int
	asks       bool          // it is its turn
	turn       chan struct{} // has a value when its turn begins
	prev, next *waiter
}

// busy returns the first of the demands whose quota others wait for, or nil.
func (qs *queues) busy(demands []demand) *demand {
	if qs.count.Load() == 0 {
		return nil
	}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for i := range demands {
		if qs.all[demands[i].id()] != nil {
			return &demands[i]
		}
	}
	return nil
}

// join appends a message to the queue of a demand, and returns how long it waits at least. inMemory says that
// permits return as the limit says. w is nil if too many messages wait.
func (qs *queues) join(d *demand, inMemory bool) (w *waiter, least time.Duration) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	id := d.id()
	q := qs.all[id]
	if q != nil {
		least = q.wait(d, inMemory)
	}
	if qs.count.Load() >= maxWaiting {
		return nil, least
	}
	if q == nil {
		if qs.all == nil {
			qs.all = make(map[quotaID]*queue)
		}
		q = &queue{id: id, width: 1}
		qs.all[id] = q
	}
	qs.count.Add(1)
	w = &waiter{of: qs, queue: q, permits: d.permits, turn: make(chan struct{}, 1), prev: q.last}
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.permits += float64(d.permits)
	q.grant()
	return w, least
}

// wait returns how long a further message waits at least: until the head asks again, and until the permits of the
// others and its own have returned. In a store, and with windows, many may return at once.
func (q *queue) wait(d *demand, inMemory bool) time.Duration {
	var ns float64
	if !q.ready.IsZero() {
		ns = max(0, float64(time.Until(q.ready)))
	}
	c := &d.limit.config
	permits := q.permits - float64(q.first.permits) + float64(d.permits)
	if !inMemory || c.Algorithm != GCRA {
		permits = max(0, permits-2*float64(c.Burst)) // two fixed windows may pass around their edge
	}
	ns += permits * float64(c.Per) / float64(c.Limit)
	return time.Duration(min(ns, math.MaxInt64/2))
}

// grant gives messages their turn, in their order.
func (q *queue) grant() {
	for w := q.first; w != nil && q.asking < q.width; w = w.next {
		if !w.asks {
			w.asks = true
			q.asking++
			w.turn <- struct{}{}
		}
	}
}

// revoke ends the turn of a message.
func (w *waiter) revoke() {
	if !w.asks {
		return
	}
	w.asks = false
	w.queue.asking--
	select {
	case <-w.turn: // it slept
	default:
	}
}

// isHead reports whether the message is the first in its queue.
func (w *waiter) isHead() bool {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return w.queue.first == w
}

// rejected notes that there are no permits before some time, and reports whether the message is to sleep until
// then. If it is not the head, it waits for another turn.
func (w *waiter) rejected(wait time.Duration) (sleeps bool) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	q := w.queue
	q.width = 1
	if q.first == w {
		q.ready = time.Now().Add(wait)
		return true
	}
	w.revoke()
	q.grant()
	return false
}

// admitted notes that a message got its permits without sleeping.
func (w *waiter) admitted() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.queue.width = min(2*w.queue.width, maxAsking)
}

// leave removes the message from its queue. If it was its turn, it is that of the next one.
func (w *waiter) leave() {
	qs, q := w.of, w.queue
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.count.Add(-1)
	q.permits -= float64(w.permits)
	w.revoke()
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first, q.ready = w.next, time.Time{}
	}
	if q.first == nil {
		delete(qs.all, q.id)
		return
	}
	q.grant()
}

// lack is a demand without permits, and the time after which they can return: 0 if that is not known.
type lack struct {
	*demand

	wait time.Duration
}

// wait takes the permits of the demands, and waits for them in the queue of one of their quotas.
func (f *flow) wait(ctx context.Context) (v *verdict, err error) {
	qs := &f.x.queues
	l := lack{demand: qs.busy(f.demands)}
	switch {
	case l.demand != nil:
	case qs.asking.Add(1) > maxAsking:
		qs.asking.Add(-1)
		l.demand = &f.demands[0]
	default:
		l, v, err = f.askFirst(ctx)
	}
	for l.demand != nil {
		l, v, err = f.inQueue(ctx, l)
	}
	return v, err
}

// askFirst is ask for a message that has not waited.
func (f *flow) askFirst(ctx context.Context) (lack, *verdict, error) {
	defer f.x.queues.asking.Add(-1)
	return f.ask(ctx)
}

// ask takes the permits of the demands. If they return in time, it returns the one with the longest wait.
func (f *flow) ask(ctx context.Context) (lack, *verdict, error) {
	s, v, err := f.x.takeAny(ctx, f.demands)
	if v == nil || s.limit == nil || !mayWait(ctx, v.wait) {
		return lack{}, v, err
	}
	for i := range f.demands {
		if d := &f.demands[i]; d.limit == s.limit {
			return lack{d, v.wait}, nil, nil
		}
	}
	return lack{}, v, err
}

// inQueue waits in the queue of a demand and takes the permits of all demands. If another demand has the
// longest wait then, it returns that one.
func (f *flow) inQueue(ctx context.Context, l lack) (other lack, v *verdict, err error) {
	w, least := f.x.queues.join(l.demand, f.x.shared == nil)
	if w != nil {
		defer w.leave()
	}
	if w == nil || !mayWait(ctx, least) {
		wait := max(least, l.wait, 1)
		s := outcome{l.limit, l.at, Decision{RetryAfter: wait, ResetAfter: wait}}
		return lack{}, f.x.limited(&s), nil
	}
	wait := l.wait
	if !w.isHead() {
		wait = 0 // others come first
	}
	for {
		sleeps := wait > 0 && w.rejected(wait)
		if err := w.await(ctx, sleeps, wait); err != nil {
			return lack{}, nil, err
		}
		other, v, err = f.ask(ctx)
		if other.demand == nil && v == nil && err == nil && !sleeps {
			w.admitted()
		}
		if other.demand != l.demand {
			return other, v, err
		}
		wait = other.wait
	}
}

// await sleeps, or waits for the turn of the message.
func (w *waiter) await(ctx context.Context, sleeps bool, wait time.Duration) error {
	if sleeps {
		return sleep(ctx, wait)
	}
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
