package serviceconfig

import (
	"errors"

	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// DefaultMaxCallAttempts is the greatest number of attempts of a call without [WithMaxCallAttempts], as in gRFC A6.
const DefaultMaxCallAttempts = 5

// Option changes what [Config.Client] makes.
type Option interface{ apply(b *builder) }

type option func(b *builder)

func (f option) apply(b *builder) { f(b) }

// WithMaxCallAttempts makes n the greatest number of attempts of a call, which replaces greater values of
// maxAttempts, as grpc.WithMaxCallAttempts does. A hedged call makes at most five in any case. The default is
// DefaultMaxCallAttempts.
func WithMaxCallAttempts(n int) Option {
	return option(func(b *builder) {
		if b.most = n; n < 2 {
			b.errs = append(b.errs, errors.New("WithMaxCallAttempts was given less than 2; want at least 2"))
		}
	})
}

// WithBudget bounds retries and hedges by a budget, which other interceptors of the client may share. It is for
// service configs without retryThrottling, which gRPC does not bound; hauberk.New reports one with it.
func WithBudget(budget *retrybudget.Budget) Option {
	return option(func(b *builder) {
		if b.budget = budget; budget == nil {
			b.errs = append(b.errs, errors.New("WithBudget was given a nil budget; want one"))
		}
	})
}

// WithRetry gives options to each interceptor of package retry, such as retry.WithResume.
func WithRetry(opts ...retry.Option) Option {
	return option(func(b *builder) { b.retry = append(b.retry, opts...) })
}

// WithHedge gives options to each interceptor of package hedge.
func WithHedge(opts ...hedge.Option) Option {
	return option(func(b *builder) { b.hedge = append(b.hedge, opts...) })
}
