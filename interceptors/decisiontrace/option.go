package decisiontrace

import "github.com/hauberk-rpc/hauberk"

// Option configures an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// By sets the key under which the state of an authenticated call contains the caller's identity, such
// as authn.User. It is required.
func By(identity hauberk.Key[string]) Option {
	return option(func(x *Interceptor) { x.identity = identity })
}
