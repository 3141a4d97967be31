package breaker

import (
	"errors"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/clock"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(b *Interceptor) }

type option func(b *Interceptor)

func (f option) apply(b *Interceptor) { f(b) }

// WithClock uses now as the clock. The default is the system's monotonic clock. now must
// be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(b *Interceptor) {
		if now == nil {
			b.err = errors.New("the clock of WithClock is nil")
			return
		}
		b.now = clock.Elapsed(now)
	})
}

// WithOnChange calls f with each change of a circuit's state. The changes of one circuit
// are in order, those of several circuits may be concurrent. f runs on the goroutine of a
// call that begins or ends. It must not block and must not panic. A nil f is ignored.
func WithOnChange(f func(Change)) Option {
	return option(func(b *Interceptor) { b.onChange = f })
}

// Change is a change of a circuit's state.
type Change struct {
	Circuit  string // the service, method or target
	From, To State
	Failures int // consecutive failures so far
}
