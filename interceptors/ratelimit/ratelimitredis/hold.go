package ratelimitredis

import (
	"context"
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
)

// late is the error of a caller that waited for its timeout.
func (s *Store) late() error {
	err := fmt.Errorf("%w from %s", ErrNoAnswer, s.connector.name())
	if _, cause := s.connector.state(); cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// hold ends the lease of a key at a time, and gives back what is left of it.
func (q *quotas) hold(k *lease.Key, l *limit, name string, at time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.held) >= maxHeld {
		if back, id, _ := k.Lapse(l.lease, q.store.clock(), true); back > 0 && !q.closed {
			go q.giveBack(l, name, back, id)
		}
		return
	}
	h := &holding{limit: l, name: name}
	q.held[k] = h
	h.timer = time.AfterFunc(at-q.store.clock(), func() { q.lapse(k, h) })
}

// lapse runs when a lease may have ended.
func (q *quotas) lapse(k *lease.Key, h *holding) {
	q.mu.Lock()
	if q.held[k] != h {
		q.mu.Unlock()
		return // Close gives it back
	}
	now := q.store.clock()
	back, id, again := k.Lapse(h.limit.lease, now, false)
	if again > 0 {
		h.timer.Reset(again - now)
	} else {
		delete(q.held, k)
	}
	q.mu.Unlock()
	if back > 0 {
		q.giveBack(h.limit, h.name, back, id)
	}
}

// giveBack gives permits back that were leased and not used. If the server does not answer, they
// are lost until they return by themselves.
func (q *quotas) giveBack(l *limit, name string, back int, id int64) {
	select {
	case q.store.slots <- struct{}{}:
	default:
		return // the server is slow
	}
	defer func() { <-q.store.slots }()
	r := newRequest(take, 1)
	r.add(l, name, &lease.Ask{Back: back, ID: id})
	_, _ = q.store.ask(r)
}

// close gives back all leases.
func (q *quotas) close(ctx context.Context) {
	q.mu.Lock()
	held := q.held
	q.held, q.closed = nil, true
	q.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for k, h := range held {
			h.timer.Stop()
			back, id, _ := k.Lapse(h.limit.lease, q.store.clock(), true)
			if back > 0 && ctx.Err() == nil {
				q.giveBack(h.limit, h.name, back, id)
			}
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
