package hedge

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// idleShare is the part of the time of a stream after which the next attempt is due again if the
// application does not wait. Long streams that are not read would else wake up after each delay.
const idleShare = 8

// race is the attempts of one call. The goroutine of Intercept owns it: each attempt runs on
// its own goroutine, and passes its outcome.
//
//	open ── stop ──► stopped: no further attempt starts; the call ends with the last outcome
//	open, stopped ── decide ──► decided: an outcome is that of the call; the others are cancelled
//
// Intercept returns when no attempt runs, and none is to start.
type race struct {
	hedge   *Interceptor
	parent  context.Context //nolint:containedctx // a race lasts as long as Intercept
	ctx     context.Context //nolint:containedctx // of the attempts: cancelled once the race is decided
	cancel  context.CancelFunc
	call    *hauberk.Call
	next    hauberk.Next
	began   time.Time
	delay   time.Duration
	latency *latency // nil without DelayQuantile

	outcomes chan outcome
	timer    *time.Timer // of the next attempt; set while the race is open and attempts are left
	started  int
	running  int
	stopped  bool
	decided  bool
	nested   bool    // stopped, since grpc-go makes further attempts
	last     outcome // of the call, as far as it is known
	unwound  outcome // the first attempt that did not return
}

// outcome is how an attempt ended.
type outcome struct {
	attempt  *hauberk.Call
	watch    *stopwatch // of the first attempt
	err      error
	failed   bool // with a non-fatal code, of the server
	panicked any  // what the attempt panicked with
	exited   bool // it ended its goroutine by runtime.Goexit
}

// run makes the attempts, and returns the outcome of the call.
func (r *race) run() error {
	r.begin()
	defer r.timer.Stop()
	for r.running > 0 || r.isOpen() {
		select {
		case o := <-r.outcomes:
			r.running--
			r.ended(&o)
		case <-r.timer.C:
			r.due()
		case <-r.parentDone():
			r.stop()
			if err := r.parent.Err(); errors.Is(err, context.Canceled) {
				return err
			}
		}
	}
	switch {
	case r.unwound.panicked != nil:
		panic(r.unwound.panicked)
	case r.unwound.exited:
		runtime.Goexit()
	}
	if r.last.failed {
		r.endAttempts()
	}
	r.call.Adopt(r.last.attempt)
	if r.nested && r.last.err != nil {
		return &nestedError{r.call.Method().FullName(), r.last.err}
	}
	return r.last.err
}

// endAttempts asks the client of the incoming call, if there is one, not to attempt it again if it
// ends with this failure: that was done here.
func (r *race) endAttempts() {
	if !r.hedge.config.NoCallerPushback {
		r.hedge.caller.End(r.parent, hauberk.StatusOf(r.last.err))
	}
}

// isOpen reports whether a further attempt is to start.
func (r *race) isOpen() bool { return !r.stopped && r.started < r.hedge.config.MaxAttempts }

// parentDone returns the channel of the caller's context if no attempt runs, which would end
// with it.
func (r *race) parentDone() <-chan struct{} {
	if r.running > 0 {
		return nil
	}
	return r.parent.Done()
}

// stop prevents further attempts.
func (r *race) stop() { r.stopped = true }

// decide prevents further attempts and cancels those that run.
func (r *race) decide() {
	r.stopped, r.decided = true, true
	r.cancel()
}

// wait starts the timer of the next attempt.
func (r *race) wait(d time.Duration) {
	if r.timer == nil {
		r.timer = time.NewTimer(d)
		return
	}
	r.timer.Reset(d)
}

// begin starts an attempt.
func (r *race) begin() {
	r.started++
	r.running++
	o := outcome{attempt: r.call.Attempt()}
	ctx := r.ctx
	if r.started == 1 {
		o.watch = r.watch(o.attempt)
	} else {
		Attempt.Set(o.attempt, r.started)
		ctx = pushback.WithPrevious(ctx, r.hedge, r.started-1)
	}
	go r.attempt(ctx, o)
	r.wait(r.delay)
}

// attempt makes an attempt, on its own goroutine. A panic continues on the goroutine of
// Intercept.
func (r *race) attempt(ctx context.Context, o outcome) {
	returned := false
	defer func() {
		if !returned {
			o.panicked = recover()
			o.exited = o.panicked == nil
		}
		r.outcomes <- o
	}()
	o.err = r.next(ctx, o.attempt)
	returned = true
}

// due starts the next attempt, if nothing prevents it.
func (r *race) due() {
	switch {
	case !r.isOpen():
	case r.wouldPass(0) || r.call.Committed():
		r.stop()
	case r.running > 0 && r.delay > 0 && !r.call.Waiting():
		r.wait(max(r.delay, time.Since(r.began)/idleShare))
	case r.isNested():
	case !r.hedge.budget.Take():
		r.stop()
	default:
		r.begin()
	}
}

// isNested stops the race if grpc-go retries calls of the method too.
func (r *race) isNested() bool {
	if r.call.TransportRetries() {
		r.nested = true
		r.stop()
	}
	return r.nested
}

// wouldPass reports whether the context of the caller is done, or its deadline would pass
// within d.
func (r *race) wouldPass(d time.Duration) bool {
	deadline, ok := r.parent.Deadline()
	return r.parent.Err() != nil || ok && time.Until(deadline) <= d
}

// ended considers the outcome of an attempt.
func (r *race) ended(o *outcome) {
	o.watch.stop(o.err == nil && !o.exited && o.panicked == nil)
	switch {
	case o.panicked != nil || o.exited:
		if r.unwound.attempt == nil {
			r.unwound = *o
		}
		r.decide()
	case r.decided:
	case isSuperseded(o.err):
		r.stop()
		if r.last.attempt == nil {
			r.last = *o // of a race around this one
		}
	default:
		r.consider(o)
		r.last = *o
	}
}

func isSuperseded(err error) bool { return errors.Is(err, hauberk.ErrSuperseded) }

// consider decides whether an outcome ends the call, or starts the next attempt.
func (r *race) consider(o *outcome) {
	if o.err == nil {
		r.hedge.budget.Success()
		r.decide()
		return
	}
	if _, rejected := errors.AsType[*hauberk.Rejection](o.err); rejected {
		r.stop()
		return
	}
	nonFatal := slices.Contains(r.hedge.config.NonFatalStatusCodes, hauberk.CodeOf(o.err))
	asked := pushback.Read(o.attempt.Trailer(), hauberk.StatusOf(o.err))
	if nonFatal || asked.Final {
		r.hedge.budget.Failure()
	}
	switch {
	case r.parent.Err() != nil || r.call.Committed():
		r.stop() // another attempt of a stream may have won since this one failed: it goes on
	case !nonFatal:
		r.decide()
	default:
		o.failed = true
		r.goOn(asked)
	}
}

// goOn starts the next attempt after a non-fatal failure, now or when the server asks for it.
func (r *race) goOn(asked pushback.Asked) {
	switch wait := asked.Longest(); {
	case asked.Final || wait > r.hedge.config.MaxServerDelay || r.wouldPass(wait):
		r.stop()
	case r.isNested():
	case wait > 0:
		r.wait(wait)
	default:
		r.due()
	}
}
