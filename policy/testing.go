package policy

import (
	"context"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// Around runs in place of an entry of a server, in a test. entry is its interceptor, which Around calls or leaves out.
type Around func(ctx context.Context, call *hauberk.Call, next hauberk.Next, entry hauberk.Interceptor) error

// WithTestAround calls around with each entry of the server that is not off, outermost first, and runs what it returns
// in place of the entry. nil leaves the entry as it is. authz records the rules that admit calls. It is for tests of
// policies (package policytest): a policy with it must not serve.
func WithTestAround(around func(e *Entry) Around) Option {
	return option(func(s *settings) { s.around = around })
}

// WithTestKeys calls replace with the settings of each issuer of tokens of the server (authn.jwt), and uses the
// settings and options that it returns, such as with keys of a test in place of those of the issuer. It is for tests of
// policies: a policy with it must not serve.
func WithTestKeys(replace func(config authnjwt.Config) (authnjwt.Config, []authnjwt.Option, error)) Option {
	return option(func(s *settings) { s.deps.TestKeys = replace })
}

// tested returns the interceptor of an entry with what a test puts around it.
func (r *reader) tested(e *entry) hauberk.Interceptor {
	if r.settings.around == nil || e.Side != hauberk.ServerSide {
		return e.Interceptor
	}
	around := r.settings.around(&e.Entry)
	if around == nil {
		return e.Interceptor
	}
	var declaration hauberk.Declaration
	if d, ok := e.Interceptor.(hauberk.Declarer); ok {
		declaration = d.Declare()
	}
	inner := e.Interceptor
	return hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return around(ctx, call, next, inner)
	}), declaration)
}
