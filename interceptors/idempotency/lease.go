package idempotency

import (
	"context"
	"sync"
	"time"
)

// lease renews the lease of a call that runs, three times in its length. A timer runs renew on a
// separate goroutine; most calls end before.
type lease struct {
	x      *Interceptor
	ctx    context.Context //nolint:containedctx // the values of that of the call
	e      *entry
	cancel context.CancelCauseFunc

	mu      sync.Mutex // held while the store is asked
	stopped bool
	until   time.Time
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
	until := time.Now().Add(l.x.config.Lease)
	held, err := l.x.storeRenew(l.ctx, l.e, l.x.config.Lease)
	switch {
	case err == nil && held:
		l.until = until
	case err == nil || !time.Now().Before(l.until):
		l.cancel(ErrLeaseLost)
		return
	}
	l.timer.Reset(l.x.config.Lease / 3)
}

// stop ends the renewal, and waits for one that runs.
func (l *lease) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.timer.Stop()
}
