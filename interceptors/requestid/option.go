package requestid

import "errors"

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithGenerator uses generate to make new ids, in place of [UUIDv7]. generate must be safe
// for concurrent use. If its result is not well-formed ([Valid]), the call gets an id of
// UUIDv7.
func WithGenerator(generate func() string) Option {
	return option(func(x *Interceptor) {
		x.generate = generate
		if generate == nil {
			x.err = errors.New("WithGenerator was given a nil function")
		}
	})
}
