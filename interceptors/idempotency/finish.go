package idempotency

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// tries is how often the store is given an outcome before the call ends.
const tries = 3

// large is the size in bytes above which the time that an outcome takes to the store matters.
const large = 64 << 10

// maxUnsettled is the number of outcomes, and of keys, that are given to the store after their calls have ended, at a
// time. They are counted apart: calls that are rejected while the store is away must not displace outcomes.
const maxUnsettled = 1000

// releaseAgain is the time until a key is made free once more.
const releaseAgain = 100 * time.Millisecond

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
		_, _ = x.storeRenew(ctx, e, x.config.Lease+tries*x.config.StoreTimeout, x.config.StoreTimeout)
	}
	for try := range tries {
		if x.offer(ctx, e, o, try == tries-1) {
			return
		}
	}
	if errors.Is(o.err, ErrFull) { // the key may be held without more room
		held, err := x.storeRenew(ctx, e, x.config.TTL, x.config.StoreTimeout)
		o.blocked = held && err == nil
	}
	ended := context.Background() // the values of ctx would keep the request and the response in memory
	again, giveUp := func() bool { return x.offer(ended, e, o, false) }, func() { x.lose(ended, e, o) }
	switch {
	case x.later(&x.outcomesLeft, firstLook, again, giveUp):
	case o.blocked || x.config.FailOpen:
		giveUp()
	default: // the call itself waits, so that the memory for outcomes is bounded and none is lost
		x.until(time.Now().Add(x.config.Lease), firstLook, again, giveUp)
	}
}

// release makes the key of a call free that may be executed again. If the store does not answer, a goroutine goes on.
func (x *Interceptor) release(ctx context.Context, e *entry) {
	if x.storeRelease(ctx, e) != nil {
		ended := context.Background() // as in finish
		x.later(&x.keysLeft, releaseAgain, func() bool { return x.storeRelease(ended, e) == nil }, func() {})
	}
}

// withdraw makes the key of a call free to which the store did not answer. The store may still get the request, such
// as when its process continues, or on another connection: so a goroutine makes the key free once more after the store
// has answered.
func (x *Interceptor) withdraw(ctx context.Context, e *entry) {
	answered, ended := x.storeRelease(ctx, e) == nil, context.Background() // as in finish
	x.later(&x.keysLeft, releaseAgain, func() bool {
		before, now := answered, x.storeRelease(ended, e) == nil
		answered = answered || now
		return before && now
	}, func() {})
}

// later calls until on a goroutine, until a lease that has begun must have expired. left counts such goroutines; later
// returns false if there are too many.
func (x *Interceptor) later(left *atomic.Int64, wait time.Duration, try func() bool, giveUp func()) bool {
	if left.Add(1) > maxUnsettled {
		left.Add(-1)
		return false
	}
	end := time.Now().Add(x.config.Lease)
	go func() {
		defer left.Add(-1)
		x.until(end, wait, try, giveUp)
	}()
	return true
}

// until calls try after a wait and then again and again, until it returns true, or until a time: then it calls giveUp.
func (*Interceptor) until(end time.Time, wait time.Duration, try func() bool, giveUp func()) {
	for ; ; wait = min(2*wait, lastLook) {
		<-time.After(wait)
		if try() {
			return
		}
		if !time.Now().Before(end) {
			giveUp()
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
		x.lose(ctx, e, &unkept{err: ErrLeaseLost})
	case o.dropped != nil:
		x.log.WarnContext(context.WithoutCancel(ctx), "idempotency: the store did not take the outcome of a call, but "+
			"only that it was executed; a repeat ends with FAILED_PRECONDITION", "method", e.method, "error", o.dropped)
	}
	return true
}

// tooLarge reports whether the last try may have failed because of the size of the outcome.
func (o *unkept) tooLarge(last bool) bool {
	return o.large && (last && o.err != nil || errors.Is(o.err, context.DeadlineExceeded)) ||
		last && errors.Is(o.err, ErrFull)
}

// lose records that the outcome of a call is not kept.
func (x *Interceptor) lose(ctx context.Context, e *entry, o *unkept) {
	x.counts.lost.Add(1)
	ctx = context.WithoutCancel(ctx)
	if o.blocked {
		x.log.ErrorContext(ctx, "idempotency: the store did not take the outcome of a call; repeats wait until "+
			"TTL has passed", "method", e.method, "error", o.err)
		return
	}
	x.log.ErrorContext(ctx, "idempotency: the store did not take the outcome of a call; a repeat may execute it again",
		"method", e.method, "error", o.err)
}
