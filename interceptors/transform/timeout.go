package transform

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// timeouts says what becomes of deadlines.
type timeouts struct {
	fixed, absent, most time.Duration
	none                bool
}

// apply returns a context with the deadline that a call gets, and a function that
// releases it.
func (t *timeouts) apply(ctx context.Context, call *hauberk.Call) (context.Context, context.CancelFunc) {
	release := func() {}
	deadline, has := ctx.Deadline()
	if has && (t.none || t.fixed > 0) {
		passed := func(context.Context, context.CancelCauseFunc) {}
		if t.none && call.Kind() != hauberk.Unary {
			patience := max(time.Until(deadline), leastPatience)
			passed = func(free context.Context, end context.CancelCauseFunc) { endUnused(free, end, call, patience) }
		}
		ctx, release = withoutDeadline(ctx, passed)
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

// withoutDeadline returns a context without the deadline of ctx, which ends when ctx is
// cancelled, and a function that releases it. A context whose deadline has passed does
// not show a later cancellation: withoutDeadline then calls passed, on a separate
// goroutine, with the new context and the function that ends it.
func withoutDeadline(
	ctx context.Context, passed func(free context.Context, end context.CancelCauseFunc),
) (context.Context, context.CancelFunc) {
	free, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			passed(free, end)
		} else {
			end(context.Cause(ctx))
		}
	})
	return free, func() {
		stop()
		end(nil)
	}
}

// leastPatience is far more than an application needs between two operations.
const leastPatience = 100 * time.Millisecond

// errUnused is how endUnused ends a stream.
var errUnused = status.Error(codes.DeadlineExceeded,
	"transform: the caller's deadline has passed, and the caller does not use the stream any more")

// endUnused ends a stream when the application has not used it for as long as patience:
// at the end of such a time it does not wait in an operation, and no message has moved
// meanwhile. It returns when ctx ends.
func endUnused(ctx context.Context, end context.CancelCauseFunc, call *hauberk.Call, patience time.Duration) {
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for before := moved(call); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := moved(call)
		if now == before && !call.Waiting() {
			end(errUnused)
			return
		}
		before = now
	}
}

// moved returns the counts of messages that can be read while the call runs.
func moved(call *hauberk.Call) (counts [2]int64) {
	if call.Kind().ClientStreams() {
		counts[0] = call.Sent()
	}
	if call.Kind().ServerStreams() {
		counts[1] = call.Received()
	}
	return counts
}

// outcome returns the error of a call: errUnused if that is why it was cancelled.
func outcome(ctx context.Context, err error) error {
	if err != nil && hauberk.CodeOf(err) == codes.Canceled && errors.Is(context.Cause(ctx), errUnused) {
		return errUnused
	}
	return err
}
