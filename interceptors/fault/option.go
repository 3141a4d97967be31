package fault

import "errors"

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithSwitch injects faults only into calls for which on returns true. It runs once for each call,
// and must be safe for concurrent use. Calls without faults do not count for the order that
// makes faults repeatable.
func WithSwitch(on func() bool) Option {
	return option(func(x *Interceptor) {
		if x.on = on; on == nil {
			x.err = errors.Join(x.err, errors.New("WithSwitch was given a nil function"))
		}
	})
}
