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

// maxWaiting is the number of messages of an interceptor that wait at a time.
const maxWaiting = 1 << 16

// queues are the messages of an interceptor that wait for permits, by quota:
//
//	message ──▶ no one waits ──▶ ask ──permits──▶ done
//	               │              │
//	          others wait     no permits
//	               ▼              ▼
//	             queue ───▶ head: sleep, ask ──permits──▶ done, and the next one is the head
//	               ▲              │
//	               └── another quota has the longer wait
//
// Only the head of a queue asks, so that a store gets few requests however many messages wait, and an
// expensive message is not overtaken until its permits are gone. The mutex guards everything except count.
type queues struct {
	mu    sync.Mutex
	all   map[quotaID]*queue
	count atomic.Int32 // messages that wait
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
}

// waiter is a message that waits.
type waiter struct {
	of         *queues
	queue      *queue
	permits    int
	turn       chan struct{} // closed when it is the head
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
	qs.count.Add(1)
	w = &waiter{of: qs, queue: q, permits: d.permits, turn: make(chan struct{})}
	if q == nil {
		if qs.all == nil {
			qs.all = make(map[quotaID]*queue)
		}
		w.queue = &queue{id: id, first: w, last: w, permits: float64(d.permits)}
		qs.all[id] = w.queue
		close(w.turn)
		return w, 0
	}
	w.prev, q.last.next = q.last, w
	q.last = w
	q.permits += float64(d.permits)
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

// isHead reports whether it is the turn of the message.
func (w *waiter) isHead() bool {
	select {
	case <-w.turn:
		return true
	default:
		return false
	}
}

// sleeps notes when the head asks next.
func (w *waiter) sleeps(wait time.Duration) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.queue.ready = time.Now().Add(wait)
}

// leave removes the message from its queue. If it was the head, the next one is.
func (w *waiter) leave() {
	qs, q := w.of, w.queue
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.count.Add(-1)
	q.permits -= float64(w.permits)
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	if w.prev != nil {
		w.prev.next = w.next
		return
	}
	q.first, q.ready = w.next, time.Time{}
	if w.next == nil {
		delete(qs.all, q.id)
		return
	}
	close(w.next.turn)
}

// wait takes the permits of the demands, and waits for them in the queue of one of their quotas.
func (f *flow) wait(ctx context.Context) (v *verdict, err error) {
	d, known := f.x.queues.busy(f.demands), time.Duration(0)
	if d == nil {
		if d, known, v, err = f.ask(ctx); d == nil {
			return v, err
		}
	}
	for d != nil {
		d, known, v, err = f.inQueue(ctx, d, known)
	}
	return v, err
}

// ask takes the permits of the demands. If they return in time, it returns the one with the longest wait.
func (f *flow) ask(ctx context.Context) (lacks *demand, wait time.Duration, v *verdict, err error) {
	s, v, err := f.x.takeAny(ctx, f.demands)
	if v == nil || v.outcome.limit == nil || !mayWait(ctx, v.wait) {
		return nil, 0, v, err
	}
	for i := range f.demands {
		if f.demands[i].limit == s.limit {
			lacks = &f.demands[i]
		}
	}
	return lacks, v.wait, nil, nil
}

// inQueue waits in the queue of a demand and takes the permits of all demands. If another demand has the
// longest wait then, it returns that one. known is the wait if the quota was asked already.
func (f *flow) inQueue(
	ctx context.Context, d *demand, known time.Duration,
) (other *demand, wait time.Duration, v *verdict, err error) {
	w, least := f.x.queues.join(d, f.x.shared == nil)
	if w != nil {
		defer w.leave()
	}
	if w == nil || !mayWait(ctx, least) {
		s := outcome{d.limit, d.at, Decision{RetryAfter: max(least, known, 1), ResetAfter: max(least, known, 1)}}
		return nil, 0, f.x.limited(&s), nil
	}
	if !w.isHead() {
		known = 0 // others come first
	}
	select {
	case <-w.turn:
	case <-ctx.Done():
		return nil, 0, nil, status.FromContextError(ctx.Err()).Err()
	}
	for {
		if known > 0 {
			w.sleeps(known)
			if err := sleep(ctx, known); err != nil {
				return nil, 0, nil, err
			}
		}
		other, known, v, err = f.ask(ctx)
		if other == nil || other != d {
			return other, known, v, err
		}
	}
}
