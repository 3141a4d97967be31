package main

import (
	"context"

	"github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	mwlogging "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// Contests and variants that the summary of the report names.
const (
	loggingName  = "logging, unary call on a server"
	loggingOwn   = "Hauberk, JSON log"
	loggingRival = "go-grpc-middleware, JSON log with an id"

	metricsName  = "metrics, unary call on a server"
	metricsOwn   = "Hauberk, metrics"
	metricsRival = "go-grpc-middleware, Prometheus metrics with the histogram"

	tracingOwn   = "Hauberk, tracing"
	tracingRival = "otelgrpc"
)

// benchID is the request id of all calls of these contests, which do not measure how ids
// are made.
const benchID = "0198c7c6-6c5e-7d7a-9f7e-0c0b7d2f4a11"

// withID sets the id that the records contain.
func withID() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		requestid.Key.Set(call, benchID)
		return next(ctx, call)
	})
}

// loggingContest compares records with the ten most common attributes: side, service,
// method, kind, code, peer, duration, messages sent and received, and a request id.
func loggingContest() contest {
	const (
		base       = "Hauberk, 1 interceptor that sets an id"
		own, rival = loggingOwn, loggingRival
	)
	return contest{
		name: loggingName,
		variants: []variant{
			{base, behind(withID())},
			{own, behind(withID(), newLogging())},
			{grpcIdle, func() func() error { return serverUnary(nil, idleUnary) }},
			{rival, func() func() error { return serverUnary(nil, middlewareLogging()) }},
		},
		budgets: map[string]budget{own: {ns: 900, allocs: 2}},
		bases:   map[string]string{grpcIdle: grpcIdle, rival: grpcIdle},
	}
}

func middlewareLogging() grpc.UnaryServerInterceptor {
	return mwlogging.UnaryServerInterceptor(middlewareLogger(),
		mwlogging.WithLogOnEvents(mwlogging.FinishCall),
		mwlogging.WithFieldsFromContext(func(context.Context) mwlogging.Fields {
			return mwlogging.Fields{"request_id", benchID}
		}))
}

func metricsContest() contest {
	const own, rival = metricsOwn, metricsRival
	return contest{
		name: metricsName,
		variants: []variant{
			{oneIdle, behind(idleInterceptors(1)...)},
			{own, behind(metrics.New(metrics.Config{}))},
			{grpcIdle, func() func() error { return serverUnary(nil, idleUnary) }},
			{rival, func() func() error { return serverUnary(nil, middlewareMetrics()) }},
		},
		budgets: map[string]budget{own: {ns: 120, allocs: 0}},
		bases:   map[string]string{grpcIdle: grpcIdle, rival: grpcIdle},
	}
}

func middlewareMetrics() grpc.UnaryServerInterceptor {
	return prometheus.NewServerMetrics(prometheus.WithServerHandlingTimeHistogram()).UnaryServerInterceptor()
}

// tracingContests compare with otelgrpc. A figure below 0 means less than otelgrpc.
func tracingContests() []contest {
	const own, rival = tracingOwn, tracingRival
	sides := []struct {
		name        string
		bare        func() func() error
		own, others func(sampled bool) func() error
	}{
		{
			"server", bareServerCall,
			func(sampled bool) func() error { return tracedServerCall(newTracing(sampled)) }, otelgrpcServerCall,
		},
		{
			"client", bareClientCall,
			func(sampled bool) func() error { return tracedClientCall(newTracing(sampled)) }, otelgrpcClientCall,
		},
	}
	contests := make([]contest, 0, 2*len(sides))
	for _, side := range sides {
		for _, sampled := range []bool{true, false} {
			contests = append(contests, contest{
				name: tracingName(sampled, side.name),
				variants: []variant{
					{"bare call", side.bare},
					{rival, func() func() error { return side.others(sampled) }},
					{own, func() func() error { return side.own(sampled) }},
				},
				budgets: map[string]budget{own: {}},
				bases:   map[string]string{own: rival},
			})
		}
	}
	return contests
}

// observingContest compares tracing, metrics and logging in one chain.
func observingContest() contest {
	const own, rival = "Hauberk, tracing + metrics + JSON log", "otelgrpc + go-grpc-middleware, metrics + JSON log"
	return contest{
		name: "tracing (sampled), metrics and logging together, unary call on a server",
		variants: []variant{
			{"bare call", bareServerCall},
			{rival, func() func() error {
				return otelgrpcServerCallWith(true, middlewareMetrics(), middlewareLogging())
			}},
			{own, func() func() error {
				return tracedServerCall(newTracing(true), withID(), metrics.New(metrics.Config{}), newLogging())
			}},
		},
		budgets: map[string]budget{own: {}},
		bases:   map[string]string{own: rival},
	}
}

func tracingName(sampled bool, side string) string {
	if sampled {
		return "tracing, sampled, unary call on a " + side
	}
	return "tracing, not sampled, unary call on a " + side
}
