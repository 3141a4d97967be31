package idempotency

import (
	"errors"
	"log/slog"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithStore keeps the keys and outcomes in a store that outlives the interceptor, such as one that the nodes
// of a service share. The default is a [Memory] for each interceptor, for one process.
func WithStore(store Store) Option {
	return option(func(x *Interceptor) {
		if x.store = store; store == nil {
			x.err = errors.Join(x.err, errors.New("WithStore was given a nil Store"))
		}
	})
}

// WithLogger logs outcomes that the store did not take. The default is slog.Default().
func WithLogger(log *slog.Logger) Option {
	return option(func(x *Interceptor) {
		if x.log = log; log == nil {
			x.err = errors.Join(x.err, errors.New("WithLogger was given a nil Logger"))
		}
	})
}
