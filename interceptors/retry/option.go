package retry

import (
	"context"
	"errors"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/retrybudget"
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

// WithBudget uses budget, which several interceptors of a client can share, such as those that retry
// and those that hedge. The default is a separate budget with the zero retrybudget.Config.
func WithBudget(budget *retrybudget.Budget) Option {
	return option(func(r *Interceptor) {
		if budget == nil {
			r.err = errors.Join(r.err, errors.New("WithBudget was given a nil budget; want one, or Config.NoBudget"))
		}
		r.budget = budget
	})
}

// WithPolicy uses the idempotency of the methods of policy in place of [hauberk.Method.Idempotent],
// which reads their .proto files: what the application overrides in policy counts, and Explain
// returns where it was set. Config.Methods and Config.AllMethods override it. policy may be nil.
func WithPolicy(policy *hauberk.DescriptorPolicy) Option {
	return option(func(r *Interceptor) { r.methods.SetPolicy(policy) })
}

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
