package concurrency

import (
	"context"
	"errors"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithClock uses now as the clock for durations of calls and for the times of Load, in place of the
// monotonic clock. Calls wait by the timers of package time. now must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(x *Interceptor) {
		if now == nil {
			x.err = errors.Join(x.err, errors.New("WithClock was given a nil function"))
			return
		}
		x.now = clock.Elapsed(now)
	})
}

// WithPriority uses priority for calls that wait, in place of Config.Critical and
// Config.Sheddable: the highest gets a slot first. It runs only for calls that do not get a
// slot at once. It must be safe for concurrent use.
func WithPriority(priority func(ctx context.Context, call *hauberk.Call) int) Option {
	return option(func(x *Interceptor) {
		if x.priority = priority; priority == nil {
			x.err = errors.Join(x.err, errors.New("WithPriority was given a nil function"))
		}
	})
}

// WithProbe uses probe as the load for Config.Load, in place of the memory of the process. probe
// runs on the goroutine of a call, never concurrently with itself. It must not block.
func WithProbe(probe func() float64) Option {
	return option(func(x *Interceptor) {
		if x.probe = probe; probe == nil {
			x.err = errors.Join(x.err, errors.New("WithProbe was given a nil function"))
		}
	})
}
