package retrybudget

import (
	"errors"
	"time"
)

// Option sets a dependency of a [Budget].
type Option interface{ apply(o *dependencies) }

type option func(o *dependencies)

func (f option) apply(o *dependencies) { f(o) }

type dependencies struct {
	now func() time.Time
	err error
}

// WithClock uses now as the clock. The default is the monotonic clock. now must be safe for
// concurrent use. A clock that is set back does not change the window.
func WithClock(now func() time.Time) Option {
	return option(func(o *dependencies) {
		if now == nil {
			o.err = errors.New("retrybudget: WithClock was given a nil function")
		}
		o.now = now
	})
}
