package main

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func inProcessContests() []contest {
	return slices.Concat(tracingContests(), validateContests(), limiterContests(), []contest{
		serverUnaryContest(),
		clientUnaryContest(),
		clientStreamContest(hauberk.Bidi),
		clientStreamContest(hauberk.ServerStream),
		clientStreamContest(hauberk.ClientStream),
		jwtContest(),
		authzContest(),
		concurrencyContest(),
		breakerContest(),
		breakerRatioContest(),
		retryContest(),
		retryConnContest(),
		hedgeContest(),
		answersContest(),
		loggingContest(),
		metricsContest(),
		observingContest(),
	})
}

const serverUnaryName = "unary call on a server"

func serverUnaryContest() contest {
	return contest{
		name: serverUnaryName,
		variants: []variant{
			{"bare handler", func() func() error { return serverUnary(nil, nil) }},
			{emptyName, behind(idleInterceptors(0)...)},
			{"Hauberk, 8 idle interceptors", behind(idleInterceptors(8)...)},
			{"Hauberk, recovery", behind(recovery.New(recovery.Config{}))},
			{"Hauberk, request id without echo", behind(requestid.New(requestid.Config{NoEcho: true}))},
			{"Hauberk, metrics", behind(metrics.New(metrics.Config{}))},
			{"Hauberk, JSON log", behind(newLogging())},
			{"Hauberk, JWT + limit by user", behind(newAuthn(), limitUsers())},
			{wholeName, behind(wholeInterceptors(requestid.Config{NoEcho: true})...)},
			{wholeName + ", id echoed", behind(wholeInterceptors(requestid.Config{})...)},
			{middlewareName, func() func() error { return serverUnary(nil, middlewareUnary()) }},
		},
		budgets: map[string]budget{
			emptyName:                      {ns: 200, allocs: 1},
			"Hauberk, 8 idle interceptors": {ns: 200 + 8*15, allocs: 1},
			wholeName:                      {ns: 1700, allocs: 6},
			wholeName + ", id echoed":      {ns: 2200, allocs: 10},
		},
	}
}

func behind(interceptors ...hauberk.Interceptor) func() func() error {
	return func() func() error { return serverUnary(chainOf(interceptors...), nil) }
}

func clientUnaryContest() contest {
	return contest{
		name: "unary call on a client",
		variants: []variant{
			{"bare connection", func() func() error { return clientCall(nil, hauberk.Unary) }},
			{emptyName, func() func() error { return clientCall(idleChain(0), hauberk.Unary) }},
			{"Hauberk, 8 idle interceptors", func() func() error { return clientCall(idleChain(8), hauberk.Unary) }},
		},
		budgets: map[string]budget{
			emptyName:                      {ns: 200, allocs: 1},
			"Hauberk, 8 idle interceptors": {ns: 200 + 8*15, allocs: 1},
		},
	}
}

func clientStreamContest(kind hauberk.Kind) contest {
	return contest{
		name: "stream on a client, open to close: " + kind.String(),
		variants: []variant{
			{"bare connection", func() func() error { return clientCall(nil, kind) }},
			{"Hauberk, 1 idle interceptor", func() func() error { return clientCall(idleChain(1), kind) }},
			{"Hauberk, 8 idle interceptors", func() func() error { return clientCall(idleChain(8), kind) }},
		},
		budgets: map[string]budget{
			"Hauberk, 1 idle interceptor":  {ns: 2000, allocs: 5},
			"Hauberk, 8 idle interceptors": {ns: 4000, allocs: 5},
		},
	}
}

func chainOf(interceptors ...hauberk.Interceptor) *hauberk.Chain {
	return hauberk.Must(hauberk.New(interceptors...))
}

func idleChain(n int) *hauberk.Chain { return chainOf(idleInterceptors(n)...) }

func idleInterceptors(n int) []hauberk.Interceptor {
	idle := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	})
	return slices.Repeat([]hauberk.Interceptor{idle}, n)
}

func discardJSON() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) }

func newLogging() hauberk.Interceptor {
	return logging.New(logging.Config{}, logging.WithLogger(discardJSON()), logging.State("request_id", requestid.Key))
}
