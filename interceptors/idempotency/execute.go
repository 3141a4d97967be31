package idempotency

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// ErrLeaseLost is the cause of the context of a call whose lease was lost: the store did not renew it
// in time.
var ErrLeaseLost = errors.New("idempotency: the lease of the call was lost")

// tries is how often the store is given an outcome.
const tries = 3

// execute runs the call that owns a key, and keeps its outcome.
func (x *Interceptor) execute(ctx context.Context, call *hauberk.Call, next hauberk.Next, e *entry) error {
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	running, stop := context.WithTimeout(running, x.config.MaxRun)
	defer stop()
	_, known := hauberk.IdentityKey.Get(call)
	inside, copied, err := call.Detach(running)
	if err != nil {
		x.release(ctx, e)
		return err
	}
	x.counts.executed.Add(1)
	l := x.hold(ctx, e, cancel)
	err = hauberk.ErrUnwound
	defer func() { // also if a panic unwinds the goroutine
		l.stop()
		x.settle(ctx, e, copied, err, known)
	}()
	err = next(inside, copied)
	call.Adopt(copied)
	return err
}

// settle keeps the outcome of a call, or makes its key free.
func (x *Interceptor) settle(ctx context.Context, e *entry, call *hauberk.Call, err error, known bool) {
	if x.leavesFree(call, err) {
		x.counts.released.Add(1)
		x.release(ctx, e)
		return
	}
	o := outcomeOf(call.Response(), err, call.Header(), call.Trailer())
	if id, _ := hauberk.IdentityKey.Get(call); id != nil && !known {
		o = &outcome{kind: lost} // an inner interceptor authenticates: others may have this key
	}
	x.finish(ctx, e, o.encode(x.config.MaxResultBytes))
}

// leavesFree reports whether an error is not kept: an inner interceptor rejected the call, or the client
// may try again.
func (x *Interceptor) leavesFree(call *hauberk.Call, err error) bool {
	if err == nil {
		return false
	}
	if slices.Contains(x.config.NotKept, hauberk.CodeOf(err)) {
		return true
	}
	r := hauberk.RejectionOf(err)
	return r != nil && slices.ContainsFunc(call.Decisions().Recorded(), func(d hauberk.Decision) bool {
		return d.Verdict == hauberk.Rejected && !d.Shadow && d.Reason == hauberk.Reason(err)
	})
}

// finish gives an outcome to the store.
func (x *Interceptor) finish(ctx context.Context, e *entry, text []byte) {
	var err error
	for range tries {
		var held bool
		if held, err = x.tryFinish(ctx, e, text); err == nil && held {
			return
		}
		if err == nil {
			err = ErrLeaseLost
			break
		}
	}
	x.counts.lost.Add(1)
	x.log.ErrorContext(context.WithoutCancel(ctx),
		"idempotency: the store did not take the outcome of a call; a repeat may execute it again", "error", err)
}

func (x *Interceptor) tryFinish(ctx context.Context, e *entry, text []byte) (held bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.config.StoreTimeout)
	defer cancel()
	return x.store.Finish(ctx, e.key, e.owner, e.of, text, x.config.TTL)
}

// release makes a key free. If the store fails, its lease expires.
func (x *Interceptor) release(ctx context.Context, e *entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.config.StoreTimeout)
	defer cancel()
	_ = x.store.Release(ctx, e.key, e.owner)
}

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
	l := &lease{x: x, ctx: context.WithoutCancel(ctx), e: e, cancel: cancel, until: time.Now().Add(x.config.Lease)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(x.config.Lease/3, l.renew)
	return l
}

func (l *lease) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	config := &l.x.config
	ctx, cancel := context.WithTimeout(l.ctx, min(config.StoreTimeout, config.Lease/3))
	defer cancel()
	until := time.Now().Add(config.Lease)
	held, err := l.x.store.Renew(ctx, l.e.key, l.e.owner, config.Lease)
	switch {
	case err == nil && held:
		l.until = until
	case err == nil || !time.Now().Before(l.until):
		l.cancel(ErrLeaseLost)
		return
	}
	l.timer.Reset(config.Lease / 3)
}

// stop ends the renewal, and waits for one that runs.
func (l *lease) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.timer.Stop()
}
