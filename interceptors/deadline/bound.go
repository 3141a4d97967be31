package deadline

import (
	"context"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/expiry"
	"github.com/hauberk-rpc/hauberk/internal/running"
)

// plan is when a call ends.
type plan struct {
	*limits

	left  time.Duration // until the context that the interceptor was given ends; none for never
	inner time.Duration // until the context of what is inside ends; none for never
	end   time.Duration // until a server ends it for its caller; none for never
}

// bound runs the inner part of a call that can end before the caller's deadline.
//
//go:noinline // its variables would be on the stack of calls that nothing bounds
func (x *Interceptor) bound(ctx context.Context, call *hauberk.Call, next hauberk.Next, p plan) error {
	e := &ender{ctx: ctx, call: call}
	inner := ctx
	if p.interval > 0 {
		var release context.CancelFunc
		inner, e.expire, release = expiry.With(inner)
		defer release()
	}
	if p.inner < p.left || p.end != none {
		begin := time.Now()
		var cancel context.CancelFunc
		inner, cancel = context.WithDeadline(inner, begin.Add(p.inner))
		defer cancel()
		e.bounded, e.deadline = inner, begin.Add(p.end)
	}
	if p.end != none {
		timer := time.AfterFunc(p.end, e.atDeadline)
		defer timer.Stop()
	}
	if p.interval > 0 {
		w := watch(e, p.limits)
		defer w.stop()
	}
	defer e.early.Settle() // if next panics
	var err error
	if p.typical == nil {
		err = next(inner, call)
	} else {
		err = p.typical.measure(inner, call, next, x.now)
	}
	if p.end != none && !time.Now().Before(e.deadline) {
		e.end(nil, 0) // what is inside has noticed it before the timer
	}
	e.early.Settle()
	if e.early.Err() == nil {
		return err
	}
	return x.outcome(call, e, err)
}

// outcome returns the outcome of a call that was ended early and whose next has returned err.
func (x *Interceptor) outcome(call *hauberk.Call, e *ender, err error) error {
	switch {
	case e.cause == nil:
		x.counts.ended.Add(1)
		return errDeadline
	case call.Side() == hauberk.ClientSide && err == nil:
		return nil // the response came first
	default:
		rule := names[e.cause.setting] + " " + e.after.String()
		return x.reject(call, e.cause, rule)
	}
}

// ender ends a call once, unless it has ended otherwise.
type ender struct {
	ctx     context.Context //nolint:containedctx // of the interceptor, for timers
	bounded context.Context //nolint:containedctx // as ctx: that of the inner interceptors, if it has its own deadline
	call    *hauberk.Call
	expire  func() // ends the context of the inner interceptors; nil for calls without a watcher

	deadline time.Time // when a server ends the call, if it does

	early running.End
	cause *cause        // nil at the deadline; written while early ends the call
	after time.Duration // the timeout
}

// atDeadline ends a call at its deadline. The context has a timer for the same time: it must have ended
// before Call.End cancels the context of the transport, so that its error is that of a deadline.
func (e *ender) atDeadline() {
	<-e.bounded.Done()
	e.end(nil, 0)
}

// end ends a call for its caller, with the receives and sends of the handler, which an inner context
// does not reach, and the context.
func (e *ender) end(c *cause, after time.Duration) {
	err := errDeadline
	if c != nil {
		err = c.rejection()
	}
	e.early.By(e.ctx, err, func() {
		if e.cause, e.after = c, after; c != nil {
			e.expire()
		}
		e.call.End(err)
	})
}
