package idempotency

import (
	"context"
	"sync"
	"time"
)

// renewAgain is the longest time between two requests to renew a lease while the store fails.
const renewAgain = time.Second

// lease renews the lease of a call that runs, three times in its length, and more often while the store fails: a
// store that is back before the lease expires finds it renewed. A timer runs renew on a separate goroutine; most calls
// end before.
type lease struct {
	x      *Interceptor
	ctx    context.Context //nolint:containedctx // the values of that of the call
	e      *entry
	cancel context.CancelCauseFunc

	mu      sync.Mutex // held while the store is asked
	stopped bool
	until   time.Time
	failing bool // the last request has failed
	timer   *time.Timer
}

func (x *Interceptor) hold(ctx context.Context, e *entry, cancel context.CancelCauseFunc) *lease {
	l := &lease{x: x, ctx: context.WithoutCancel(ctx), e: e, cancel: cancel, until: e.begun.Add(x.config.Lease)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(x.config.Lease/3-time.Since(e.begun), l.renew)
	return l
}

func (l *lease) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	now := time.Now()
	left := l.until.Sub(now)
	if l.failing && left <= 0 {
		l.cancel(ErrLeaseLost)
		return
	}
	most := left
	if left <= 0 { // the timer is late, and the store may hold the key yet
		most = l.x.config.StoreTimeout
	}
	held, err := l.x.storeRenew(l.ctx, l.e, l.x.config.Lease, most)
	wait := l.x.config.Lease / 3
	switch l.failing = err != nil; {
	case l.failing:
		wait = max(0, min(l.x.config.Lease/20-time.Since(now), renewAgain-time.Since(now), time.Until(l.until)))
	case held:
		l.until = now.Add(l.x.config.Lease)
	default:
		l.cancel(ErrLeaseLost)
		return
	}
	l.timer.Reset(wait)
}

// stop ends the renewal, and waits for one that runs.
func (l *lease) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.timer.Stop()
}
