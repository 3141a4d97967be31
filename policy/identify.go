package policy

import (
	"context"

	"github.com/hauberk-rpc/hauberk"
)

// WithTestIdentity uses the identity that identify returns for a call in place of one that authn verifies. For a call
// without one (nil) authn decides as usual. authz records the rules that admit calls. It is for tests of policies: a
// policy with it must not serve.
func WithTestIdentity(identify func(ctx context.Context) *hauberk.Identity) Option {
	return option(func(s *settings) { s.identify = identify })
}

// WithTestObserver calls observe with each call of the server before its first entry. It is for tests of policies: a
// policy with it must not serve.
func WithTestObserver(observe func(call *hauberk.Call)) Option {
	return option(func(s *settings) { s.observe = observe })
}

// tested returns the interceptor of an entry with the observer around it, if it is the first of the server.
func (r *reader) tested(e *entry, first bool) hauberk.Interceptor {
	x := r.identified(e)
	if r.observe == nil || !first || e.Side != hauberk.ServerSide {
		return x
	}
	var declaration hauberk.Declaration
	if d, ok := x.(hauberk.Declarer); ok {
		declaration = d.Declare()
	}
	return hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		r.observe(call)
		return x.Intercept(ctx, call, next)
	}), declaration)
}

// identified returns the interceptor of an entry with test identities, if it is one that authenticates servers' calls.
func (r *reader) identified(e *entry) hauberk.Interceptor {
	if r.identify == nil || e.Use != "authn" || e.Side != hauberk.ServerSide {
		return e.Interceptor
	}
	var declaration hauberk.Declaration
	if d, ok := e.Interceptor.(hauberk.Declarer); ok {
		declaration = d.Declare()
	}
	inner, identify := e.Interceptor, r.identify
	return hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		id := identify(ctx)
		if id == nil {
			return inner.Intercept(ctx, call, next)
		}
		hauberk.IdentityKey.Set(call, id)
		return next(ctx, call)
	}), declaration)
}
