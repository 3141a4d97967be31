package transform

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// timeouts replaces deadlines.
type timeouts struct {
	fixed, absent, most time.Duration
	none                bool
}

// apply returns a context with the new deadline of a call, and a function that releases
// the context.
func (t timeouts) apply(ctx context.Context, call *hauberk.Call) (context.Context, context.CancelFunc) {
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

// timeout returns the new timeout of a call, or 0 if its deadline does not change. has
// reports whether the call has a deadline.
func (t timeouts) timeout(has bool) time.Duration {
	switch {
	case t.fixed > 0:
		return t.fixed
	case !has && t.absent > 0:
		return t.absent
	default:
		return t.most // an earlier deadline stays
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

// leastPatience is much longer than the time between two operations of an application.
const leastPatience = 100 * time.Millisecond

// errUnused is the error with which endUnused ends a stream.
var errUnused = status.Error(codes.DeadlineExceeded,
	"transform: the caller's deadline has passed, and the caller no longer uses the stream")

// endUnused ends a stream when the application has not used it for the time patience: it
// does not wait in an operation, and no message was sent or received in that time. It
// returns when ctx is done.
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
		counts[0] = call.TotalSent()
	}
	if call.Kind().ServerStreams() {
		counts[1] = call.TotalReceived()
	}
	return counts
}

// outcome returns the error of a call, or errUnused if endUnused cancelled it.
func outcome(ctx context.Context, err error) error {
	if err != nil && hauberk.CodeOf(err) == codes.Canceled && errors.Is(context.Cause(ctx), errUnused) {
		return errUnused
	}
	return err
}
