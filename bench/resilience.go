package main

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// oneIdle is the first row of these contests: the same chain with an interceptor that
// does nothing. Rivals are compared with grpcIdle, an idle interceptor of grpc-go.
const (
	oneIdle  = "Hauberk, 1 idle interceptor"
	grpcIdle = "grpc-go, 1 idle interceptor"
)

// small is the budget of an interceptor that lets a call pass.
var small = budget{ns: 60, allocs: 0}

const (
	breakerName  = "breaker, closed, unary call on a client"
	breakerOwn   = "Hauberk, breaker by service"
	breakerRival = "grpc-go, gobreaker"
)

func breakerContest() contest {
	const own, other, another = breakerOwn, breakerRival, "grpc-go, failsafe-go's breaker"
	return contest{
		name: breakerName,
		variants: []variant{
			{oneIdle, calling(idleInterceptors(1)...)},
			{own, calling(breaker.New(breaker.Config{}))},
			{grpcIdle, through(idleClient)},
			{other, through(gobreakerClient())},
			{another, through(failsafeClient())},
		},
		budgets: map[string]budget{own: small},
		bases:   map[string]string{grpcIdle: grpcIdle, other: grpcIdle, another: grpcIdle},
	}
}

// breakerRatioContest compares breakers that open by the ratio of failures, with windows of 10 s in
// ten buckets, or of the latest 100 calls.
func breakerRatioContest() contest {
	const timed, counted = "Hauberk, breaker by ratio in 10 s", "Hauberk, breaker by ratio in 100 calls"
	const slow = "Hauberk, breaker by ratios of failures and slow calls"
	const other, another = "grpc-go, gobreaker by ratio in 10 s", "grpc-go, failsafe-go's breaker by ratio in 10 s"
	ratio := breaker.Config{FailureRatio: 0.5, MinCalls: 20}
	inCalls, both := ratio, ratio
	inCalls.WindowCalls = 100
	both.SlowRatio, both.SlowAfter = 0.5, time.Second
	return contest{
		name: "breaker by ratio, closed, unary call on a client",
		variants: []variant{
			{oneIdle, calling(idleInterceptors(1)...)},
			{timed, calling(breaker.New(ratio))},
			{counted, calling(breaker.New(inCalls))},
			{slow, calling(breaker.New(both))},
			{grpcIdle, through(idleClient)},
			{other, through(gobreakerRatioClient())},
			{another, through(failsafeRatioClient())},
		},
		budgets: map[string]budget{timed: small, counted: small},
		bases:   map[string]string{grpcIdle: grpcIdle, other: grpcIdle, another: grpcIdle},
	}
}

func retryContest() contest {
	const own, rival = "Hauberk, retry", "grpc-go, go-grpc-middleware's retry"
	return contest{
		name: "retry without failure, unary call on a client",
		variants: []variant{
			{oneIdle, calling(idleInterceptors(1)...)},
			{own, calling(retry.New(retry.Config{AllMethods: true}))},
			{grpcIdle, through(idleClient)},
			{rival, through(middlewareRetry())},
		},
		budgets: map[string]budget{own: small},
		bases:   map[string]string{grpcIdle: grpcIdle, rival: grpcIdle},
	}
}

// retryConnContest uses a real connection, since grpc-go's own retries need one.
func retryConnContest() contest {
	const own = "Hauberk, retry"
	bare := sync.OnceValue(func() func() error { return connUnary() })
	policy := sync.OnceValue(func() func() error { return connUnary(grpc.WithDefaultServiceConfig(retryPolicy)) })
	never := sync.OnceValue(func() func() error { return connUnary(grpc.WithDisableRetry()) })
	rival := sync.OnceValue(func() func() error { return connUnary(grpc.WithUnaryInterceptor(middlewareRetry())) })
	return contest{
		name: "retry without failure, unary call on a client, to a server in this process",
		variants: []variant{
			{"grpc-go without retryPolicy", bare},
			{"grpc-go with retryPolicy", policy},
			{"grpc-go with retries disabled", never},
			{"go-grpc-middleware's retry", rival},
			{oneIdle, overConn(idleInterceptors(1)...)},
			{own, overConn(retry.New(retry.Config{AllMethods: true}))},
		},
		bases: map[string]string{oneIdle: oneIdle, own: oneIdle},
	}
}

const retryPolicy = `{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "5s", "backoffMultiplier": 2,
	"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// calling makes a call through interceptors on a connection that answers at once.
func calling(interceptors ...hauberk.Interceptor) func() func() error {
	return func() func() error { return clientCall(chainOf(interceptors...), hauberk.Unary) }
}

// through makes one through an interceptor of grpc-go.
func through(interceptor grpc.UnaryClientInterceptor) func() func() error {
	return func() func() error { return unaryOn(intercepted{interceptor: interceptor}) }
}

// overConn keeps its connection for all rounds, until the process ends.
func overConn(interceptors ...hauberk.Interceptor) func() func() error {
	return sync.OnceValue(func() func() error {
		conn, err := dialInProcess()
		if err != nil {
			return failing(err)
		}
		return unaryOn(chainOf(interceptors...).ClientConn(conn))
	})
}

func connUnary(options ...grpc.DialOption) func() error {
	conn, err := dialInProcess(options...)
	if err != nil {
		return failing(err)
	}
	return unaryOn(conn)
}

func unaryOn(conn grpc.ClientConnInterface) func() error {
	ctx, req, resp := context.Background(), &testpb.Request{}, &testpb.Response{}
	return func() error { return conn.Invoke(ctx, testpb.TestService_Unary_FullMethodName, req, resp) }
}

func failing(err error) func() error { return func() error { return err } }

// dialInProcess connects to a new server in this process, over a pipe in memory.
func dialInProcess(options ...grpc.DialOption) (*grpc.ClientConn, error) {
	lis := bufconn.Listen(1 << 20)
	go func() { _ = withService(grpc.NewServer()).Serve(lis) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }
	return grpc.NewClient("passthrough:bufconn", append(options,
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}
