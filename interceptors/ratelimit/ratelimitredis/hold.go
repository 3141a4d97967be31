package ratelimitredis

import (
	"context"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
)

// maxHeld is the greatest number of keys with leases. Further ones are given back at once.
const maxHeld = 1 << 16

// leases are the keys of quotas that have leases. They do not refer to the quotas, which may have been
// replaced by a reload: then only they are left, until the last lease has ended.
type leases struct {
	store *Store

	mu     sync.Mutex // guards the following fields
	held   map[*lease.Key]*holding
	closed bool
}

// holding is a key whose lease ends.
type holding struct {
	limit *limit
	name  string // in the server
	timer *time.Timer
}

// hold ends the lease of a key at a time, and gives back what is left of it.
func (x *leases) hold(k *lease.Key, l *limit, name string, at time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || len(x.held) >= maxHeld || len(x.held) == 0 && !x.store.hold(x) {
		if back, id, _ := k.Lapse(l.lease, x.store.clock(), true); back > 0 && !x.closed {
			go x.giveBack(l, name, back, id)
		}
		return
	}
	h := &holding{limit: l, name: name}
	x.held[k] = h
	h.timer = time.AfterFunc(at-x.store.clock(), func() { x.lapse(k, h) })
}

// lapse runs when a lease may have ended.
func (x *leases) lapse(k *lease.Key, h *holding) {
	x.mu.Lock()
	if x.held[k] != h {
		x.mu.Unlock()
		return // Close gives it back
	}
	now := x.store.clock()
	back, id, again := k.Lapse(h.limit.lease, now, false)
	if again > 0 {
		h.timer.Reset(again - now)
	} else {
		delete(x.held, k)
		if len(x.held) == 0 {
			x.store.release(x)
		}
	}
	x.mu.Unlock()
	if back > 0 {
		x.giveBack(h.limit, h.name, back, id)
	}
}

// giveBack gives permits back that were leased and not used. If the server does not answer, they
// are lost until they return by themselves.
func (x *leases) giveBack(l *limit, name string, back int, id int64) {
	if !x.store.connector.TryReserve() {
		return // the server is slow
	}
	r := newRequest(take, 1)
	r.add(l, name, &lease.Ask{Back: back, ID: id})
	_, _ = x.store.ask(r)
}

// close gives back all leases.
func (x *leases) close(ctx context.Context) {
	x.mu.Lock()
	held := x.held
	x.held, x.closed = nil, true
	x.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for k, h := range held {
			h.timer.Stop()
			back, id, _ := k.Lapse(h.limit.lease, x.store.clock(), true)
			if back > 0 && ctx.Err() == nil {
				x.giveBack(h.limit, h.name, back, id)
			}
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
