package transform

import (
	"context"
	"errors"
	"time"
)

// timeouts says what becomes of deadlines.
type timeouts struct {
	fixed, absent, most time.Duration
	none                bool
}

// apply returns a context with the deadline that a call gets, and what lets go of
// it.
func (t *timeouts) apply(ctx context.Context) (context.Context, context.CancelFunc) {
	release := func() {}
	_, has := ctx.Deadline()
	if has && (t.none || t.fixed > 0) {
		ctx, release = withoutDeadline(ctx)
		has = false
	}
	d := t.timeout(has)
	if d == 0 {
		return ctx, release
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	return ctx, func() {
		cancel()
		release()
	}
}

// timeout returns the timeout for a call that has a deadline, or has none; 0 for
// no other than it has.
func (t *timeouts) timeout(has bool) time.Duration {
	switch {
	case t.fixed > 0:
		return t.fixed
	case !has && t.absent > 0:
		return t.absent
	default:
		return t.most // where the deadline is sooner, that stays
	}
}

// withoutDeadline returns a context without the deadline of another, that is
// cancelled when that is. Once the deadline has passed there is no telling.
func withoutDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	free, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cancel(context.Cause(ctx))
		}
	})
	return free, func() {
		stop()
		cancel(nil)
	}
}
