package retry

import (
	"context"
	"time"

	"google.golang.org/grpc"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(r *Interceptor) }

type option func(r *Interceptor)

func (f option) apply(r *Interceptor) { f(r) }

// WithSleep uses sleep to wait between attempts. The default is [Sleep]. sleep returns
// nil after d. It returns context.Canceled if ctx is cancelled before, and another error
// if the deadline of ctx would pass; the call then ends with the error of its last
// attempt. sleep must be safe for concurrent use.
func WithSleep(sleep func(ctx context.Context, d time.Duration) error) Option {
	return option(func(r *Interceptor) { r.sleep = sleep })
}

// WithRandom uses random as the source of jitter: it returns numbers from 0 up to 1. The
// default is that of math/rand/v2. random must be safe for concurrent use.
func WithRandom(random func() float64) Option {
	return option(func(r *Interceptor) { r.random = random })
}

// Disable returns a call option that turns retries off for the call.
func Disable() grpc.CallOption { return disabled{} }

// disabled is the option of [Disable].
type disabled struct{ grpc.EmptyCallOption }

// Sleep waits for d. It returns the error of ctx if that is done before. It returns
// context.DeadlineExceeded at once if the deadline of ctx would pass.
func Sleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
