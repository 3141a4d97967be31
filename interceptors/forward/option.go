package forward

import (
	"context"

	"github.com/hauberk-rpc/hauberk"
)

// Option adds what an [Interceptor] forwards.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// State forwards the value of a key of state, if the incoming call has one. A value that an
// outer interceptor of the outgoing call has set is kept. The value itself is shared, not
// copied: it must be safe for concurrent use, as that of state always.
func State[T any](key hauberk.Key[T]) Option {
	return option(func(x *Interceptor) {
		x.keys = append(x.keys, key)
		x.states = append(x.states, func(incoming context.Context, call *hauberk.Call) {
			if v, ok := key.FromContext(incoming); ok {
				key.GetOrSet(call, v)
			}
		})
	})
}
