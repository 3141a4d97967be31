package cache

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithKey adds what key returns to the key of a call, which then shares answers only with calls of the
// same part. If ok is false, the call is not cached. key must not modify the request, and must be
// safe for concurrent use.
func WithKey(key func(ctx context.Context, call *hauberk.Call, request any) (part string, ok bool)) Option {
	return option(func(x *Interceptor) {
		if x.key = key; key == nil {
			x.err = errors.Join(x.err, errors.New("WithKey was given a nil function"))
		}
	})
}

// WithClock uses now as the clock for the age of answers, in place of the monotonic clock. now must be
// safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(x *Interceptor) {
		if now == nil {
			x.err = errors.Join(x.err, errors.New("WithClock was given a nil function"))
			return
		}
		x.now = clock.Elapsed(now)
	})
}

// WithLogger logs panics of refreshes. The default is slog.Default().
func WithLogger(log *slog.Logger) Option {
	return option(func(x *Interceptor) {
		if x.log = log; log == nil {
			x.err = errors.Join(x.err, errors.New("WithLogger was given a nil Logger"))
		}
	})
}
