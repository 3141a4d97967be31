package ratelimit

import (
	"errors"
	"log/slog"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithClock uses now as the clock, in place of the monotonic clock. now must be safe for
// concurrent use. Times without a monotonic reading work. Messages wait by the timers of package
// time.
func WithClock(now func() time.Time) Option {
	return option(func(x *Interceptor) {
		if now == nil {
			x.err = errors.Join(x.err, errors.New("WithClock was given a nil function"))
			return
		}
		x.clock = quota.Clock(now)
	})
}

// WithStore keeps the quotas in a store that several processes share, in place of the memory of
// this one. [Config.Shared] has the settings.
func WithStore(store Store) Option {
	return option(func(x *Interceptor) {
		if x.store = store; store == nil {
			x.err = errors.Join(x.err, errors.New("WithStore was given a nil Store"))
		}
	})
}

// WithLogger logs when a store fails and when it answers again. The default is slog.Default().
func WithLogger(log *slog.Logger) Option {
	return option(func(x *Interceptor) {
		if x.log = log; log == nil {
			x.err = errors.Join(x.err, errors.New("WithLogger was given a nil Logger"))
		}
	})
}
