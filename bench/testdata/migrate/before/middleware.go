// Package before has the programs of the migration guides as they are before.
package before

import (
	"context"
	"log/slog"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/timeout"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// loggerOf lets their interceptor log to slog.
func loggerOf(logger *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(ctx context.Context, level logging.Level, msg string, fields ...any) {
		logger.Log(ctx, slog.Level(level), msg, fields...)
	})
}

// ServerOptions are those of a server that counts, logs, authenticates and recovers.
func ServerOptions(logger *slog.Logger, registry prometheus.Registerer, check auth.AuthFunc) []grpc.ServerOption {
	calls := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram())
	registry.MustRegister(calls)
	log := loggerOf(logger)
	ended := logging.WithLogOnEvents(logging.FinishCall)
	notHealth := selector.MatchFunc(func(_ context.Context, call interceptors.CallMeta) bool {
		return call.Service != "grpc.health.v1.Health"
	})
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(
			calls.UnaryServerInterceptor(),
			logging.UnaryServerInterceptor(log, ended),
			recovery.UnaryServerInterceptor(),
			selector.UnaryServerInterceptor(auth.UnaryServerInterceptor(check), notHealth),
		),
		grpc.ChainStreamInterceptor(
			calls.StreamServerInterceptor(),
			logging.StreamServerInterceptor(log, ended),
			recovery.StreamServerInterceptor(),
			selector.StreamServerInterceptor(auth.StreamServerInterceptor(check), notHealth),
		),
	}
}

// DialOptions are those of a client that counts, logs, bounds and retries.
func DialOptions(logger *slog.Logger, registry prometheus.Registerer) []grpc.DialOption {
	calls := grpcprom.NewClientMetrics(grpcprom.WithClientHandlingTimeHistogram())
	registry.MustRegister(calls)
	log := loggerOf(logger)
	again := []retry.CallOption{
		retry.WithMax(3),
		retry.WithCodes(codes.Unavailable),
		retry.WithBackoff(retry.BackoffExponentialWithJitterBounded(100*time.Millisecond, 0.2, 5*time.Second)),
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(
			calls.UnaryClientInterceptor(),
			logging.UnaryClientInterceptor(log),
			timeout.UnaryClientInterceptor(10*time.Second),
			retry.UnaryClientInterceptor(again...),
		),
		grpc.WithChainStreamInterceptor(
			calls.StreamClientInterceptor(),
			logging.StreamClientInterceptor(log),
			// no retry: theirs fails calls that stream requests
		),
	}
}
