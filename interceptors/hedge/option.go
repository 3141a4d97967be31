package hedge

import (
	"errors"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(h *Interceptor) }

type option func(h *Interceptor)

func (f option) apply(h *Interceptor) { f(h) }

// WithBudget uses a budget that other interceptors may share, such as retry.WithBudget(budget)
// of the same client: all their further attempts together are within it. The default is a
// separate budget of the interceptor.
func WithBudget(budget *retrybudget.Budget) Option {
	return option(func(h *Interceptor) {
		if budget == nil {
			h.err = errors.Join(h.err,
				errors.New("WithBudget was given a nil budget; Config.NoBudget hedges without one"))
			return
		}
		h.budget, h.shares = budget, true
	})
}

// WithPolicy uses the idempotency of the methods of policy in place of
// [hauberk.Method.Idempotent], as retry.WithPolicy does. Config.Methods and Config.AllMethods
// override it. policy may be nil.
func WithPolicy(policy *hauberk.DescriptorPolicy) Option {
	return option(func(h *Interceptor) { h.methods.SetPolicy(policy) })
}

// Disable returns a call option that turns hedging off for the call.
func Disable() grpc.CallOption { return disabled{} }

// disabled is the option of [Disable].
type disabled struct{ grpc.EmptyCallOption }

func isDisabled(o grpc.CallOption) bool {
	_, ok := o.(disabled)
	return ok
}
