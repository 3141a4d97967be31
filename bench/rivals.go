package main

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	mwretry "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rates contains a limiter of golang.org/x/time/rate for each key. Like most code around
// that package it removes none.
type rates struct {
	mu    sync.Mutex
	byKey map[string]*rate.Limiter
}

func newRates() *rates { return &rates{byKey: make(map[string]*rate.Limiter)} }

func (r *rates) allow(key string) bool {
	r.mu.Lock()
	limiter, ok := r.byKey[key]
	if !ok {
		limiter = rate.NewLimiter(plenty, plenty)
		r.byKey[key] = limiter
	}
	r.mu.Unlock()
	return limiter.Allow()
}

// plenty is a limit that no contest reaches, in calls a second.
const plenty = math.MaxInt32

var errLimited = status.Error(codes.ResourceExhausted, "rate limit exceeded")

func idleUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(ctx, req)
}

// Typical interceptors of clients: one circuit for all methods.

func idleClient(
	ctx context.Context, method string, req, reply any,
	cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	return invoker(ctx, method, req, reply, cc, opts...)
}

func gobreakerClient() grpc.UnaryClientInterceptor { return throughGobreaker(gobreaker.Settings{}) }

func gobreakerRatioClient() grpc.UnaryClientInterceptor {
	return throughGobreaker(gobreaker.Settings{
		Interval: 10 * time.Second, BucketPeriod: time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= 20 && float64(c.TotalFailures) >= 0.5*float64(c.Requests)
		},
	})
}

func throughGobreaker(settings gobreaker.Settings) grpc.UnaryClientInterceptor {
	circuit := gobreaker.NewCircuitBreaker[struct{}](settings)
	return func(
		ctx context.Context, method string, req, reply any,
		cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		_, err := circuit.Execute(func() (struct{}, error) {
			return struct{}{}, invoker(ctx, method, req, reply, cc, opts...)
		})
		return err
	}
}

func failsafeClient() grpc.UnaryClientInterceptor {
	return throughFailsafe(circuitbreaker.NewBuilder[any]().WithFailureThreshold(5).Build())
}

func failsafeRatioClient() grpc.UnaryClientInterceptor {
	return throughFailsafe(
		circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(0.5, 20, 10*time.Second).Build())
}

func throughFailsafe(circuit circuitbreaker.CircuitBreaker[any]) grpc.UnaryClientInterceptor {
	executor := failsafe.With(circuit)
	return func(
		ctx context.Context, method string, req, reply any,
		cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		return executor.Run(func() error { return invoker(ctx, method, req, reply, cc, opts...) })
	}
}

func middlewareRetry() grpc.UnaryClientInterceptor {
	return mwretry.UnaryClientInterceptor(mwretry.WithMax(3), mwretry.WithCodes(codes.Unavailable))
}

// intercepted is stubConn behind an interceptor of grpc-go.
type intercepted struct {
	stubConn

	interceptor grpc.UnaryClientInterceptor
}

func (c intercepted) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	return c.interceptor(ctx, method, req, reply, nil, answerAtOnce, opts...)
}

func answerAtOnce(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
	return nil
}
