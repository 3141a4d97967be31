package main

import (
	"context"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// concurrencyContest compares limits of calls in flight that are not reached.
func concurrencyContest() contest {
	const fixed, adaptive = "Hauberk, fixed limit in flight", "Hauberk, adaptive limit in flight"
	const bulkheadRival, adaptiveRival = "grpc-go, failsafe-go's bulkhead", "grpc-go, failsafe-go's adaptive limiter"
	most := uint(1000)
	return contest{
		name: "limit of calls in flight, unary call on a server",
		variants: []variant{
			{oneIdle, behind(idleInterceptors(1)...)},
			{fixed, behind(concurrency.New(concurrency.Config{Limit: int(most)}))},
			{adaptive, behind(concurrency.New(concurrency.Config{Adaptive: &concurrency.Adaptive{}}))},
			{grpcIdle, func() func() error { return serverUnary(nil, idleUnary) }},
			{bulkheadRival, func() func() error {
				return serverUnary(nil, failsafeServer(bulkhead.New[any](most)))
			}},
			{adaptiveRival, func() func() error {
				limits := adaptivelimiter.NewBuilder[any]().WithLimits(4, most, 20)
				return serverUnary(nil, failsafeServer(limits.Build()))
			}},
		},
		bases: map[string]string{grpcIdle: grpcIdle, bulkheadRival: grpcIdle, adaptiveRival: grpcIdle},
	}
}

func failsafeServer(policy failsafe.Policy[any]) grpc.UnaryServerInterceptor {
	executor := failsafe.With(policy)
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return executor.WithContext(ctx).Get(func() (any, error) { return handler(ctx, req) })
	}
}
