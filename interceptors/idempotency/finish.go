package idempotency

import (
	"context"
	"errors"
	"time"
)

// tries is how often the store is given an outcome before the call ends.
const tries = 3

// large is the size in bytes above which the time that an outcome takes to the store matters.
const large = 64 << 10

// maxUnsettled is the number of outcomes that are given to the store after their calls have ended, at a time.
const maxUnsettled = 1000

// unkept is an outcome that the store does not have yet.
type unkept struct {
	text    []byte
	large   bool
	err     error // of the last try
	dropped error // why only that the call was executed is to be kept, or nil
	blocked bool  // the lease is as long as Config.TTL
}

// finish gives an outcome to the store. The transfer of a large one may take long: the lease is made longer
// before, since a renewal could wait behind it. If the store takes it in none of the tries, such as while its server
// is started again, a goroutine goes on: the call gets its outcome, and until the lease expires no repeat executes.
func (x *Interceptor) finish(ctx context.Context, e *entry, text []byte) {
	o := &unkept{text: text, large: len(text) > large}
	if o.large {
		_, _ = x.storeRenew(ctx, e, x.config.Lease+tries*x.config.StoreTimeout)
	}
	for try := range tries {
		if x.offer(ctx, e, o, try == tries-1) {
			return
		}
	}
	if errors.Is(o.err, ErrFull) { // the key may be held without more room
		held, err := x.storeRenew(ctx, e, x.config.TTL)
		o.blocked = held && err == nil
	}
	if x.unsettled.Add(1) > maxUnsettled {
		x.unsettled.Add(-1)
		x.lose(ctx, o)
		return
	}
	go x.finishLater(context.WithoutCancel(ctx), e, o)
}

// finishLater gives an outcome to the store again and again, until its lease must have expired.
func (x *Interceptor) finishLater(ctx context.Context, e *entry, o *unkept) {
	defer x.unsettled.Add(-1)
	end := time.Now().Add(x.config.Lease)
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		<-time.After(wait)
		if x.offer(ctx, e, o, false) {
			return
		}
		if !time.Now().Before(end) {
			x.lose(ctx, o)
			return
		}
	}
}

// offer gives an outcome to the store once, and reports whether that is all. If the store does not take a result
// because of its size, only that the call was executed is kept: a repeat must not execute because a result is large.
func (x *Interceptor) offer(ctx context.Context, e *entry, o *unkept, last bool) (settled bool) {
	if o.dropped == nil && o.tooLarge(last) {
		o.text, o.dropped = (&outcome{kind: lost}).encode(0), o.err
	}
	held, err := x.storeFinish(ctx, e, o.text)
	switch {
	case err != nil:
		o.err = err
		return false
	case !held:
		x.lose(ctx, &unkept{err: ErrLeaseLost})
	case o.dropped != nil:
		x.log.WarnContext(context.WithoutCancel(ctx), "idempotency: the store did not take the outcome of a call, but "+
			"only that it was executed; a repeat ends with FAILED_PRECONDITION", "error", o.dropped)
	}
	return true
}

// tooLarge reports whether the last try may have failed because of the size of the outcome.
func (o *unkept) tooLarge(last bool) bool {
	return o.large && (last && o.err != nil || errors.Is(o.err, context.DeadlineExceeded)) ||
		last && errors.Is(o.err, ErrFull)
}

// lose records that the outcome of a call is not kept.
func (x *Interceptor) lose(ctx context.Context, o *unkept) {
	x.counts.lost.Add(1)
	then := "a repeat may execute it again"
	if o.blocked {
		then = "repeats wait until TTL has passed"
	}
	x.log.ErrorContext(context.WithoutCancel(ctx), "idempotency: the store did not take the outcome of a call; "+then,
		"error", o.err)
}
