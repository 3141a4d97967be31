package main

import (
	"context"
	"log/slog"

	"github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	mwlogging "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	mwrecovery "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
)

// middlewareInterceptors are go-grpc-middleware's counterparts of the full chain;
// it has no request ids.
func middlewareInterceptors() []grpc.UnaryServerInterceptor {
	logger := discardJSON()
	log := mwlogging.LoggerFunc(func(ctx context.Context, level mwlogging.Level, msg string, fields ...any) {
		logger.Log(ctx, slog.Level(level), msg, fields...)
	})
	return []grpc.UnaryServerInterceptor{
		prometheus.NewServerMetrics(prometheus.WithServerHandlingTimeHistogram()).UnaryServerInterceptor(),
		mwlogging.UnaryServerInterceptor(log, mwlogging.WithLogOnEvents(mwlogging.FinishCall)),
		mwrecovery.UnaryServerInterceptor(),
	}
}

// middlewareUnary chains them as grpc-go's server does, call by call.
func middlewareUnary() grpc.UnaryServerInterceptor {
	interceptors := middlewareInterceptors()
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return interceptors[0](ctx, req, info, rest(interceptors, 0, info, handler))
	}
}

func rest(
	interceptors []grpc.UnaryServerInterceptor, at int, info *grpc.UnaryServerInfo, final grpc.UnaryHandler,
) grpc.UnaryHandler {
	if at == len(interceptors)-1 {
		return final
	}
	return func(ctx context.Context, req any) (any, error) {
		return interceptors[at+1](ctx, req, info, rest(interceptors, at+1, info, final))
	}
}
