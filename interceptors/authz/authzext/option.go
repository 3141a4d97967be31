package authzext

import (
	"errors"
	"time"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithClock uses now as the clock of the cache and of request.time, in place of time.Now. now
// must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(x *Interceptor) {
		x.now = now
		if now == nil {
			x.err = errors.New("WithClock was given a nil function")
		}
	})
}
