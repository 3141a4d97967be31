package main

import (
	"context"
	"log/slog"

	"github.com/golang-jwt/jwt/v5"
	"github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	mwauth "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	mwlogging "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	mwratelimit "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/ratelimit"
	mwrecovery "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// middlewareInterceptors are go-grpc-middleware's counterparts of the whole chain.
// It has no request ids.
func middlewareInterceptors() []grpc.UnaryServerInterceptor {
	log := middlewareLogger()
	return []grpc.UnaryServerInterceptor{
		prometheus.NewServerMetrics(prometheus.WithServerHandlingTimeHistogram()).UnaryServerInterceptor(),
		mwlogging.UnaryServerInterceptor(log, mwlogging.WithLogOnEvents(mwlogging.FinishCall)),
		mwrecovery.UnaryServerInterceptor(),
		mwauth.UnaryServerInterceptor(verifyEachTime()),
		mwratelimit.UnaryServerInterceptor(userLimiter{newRates()}),
	}
}

func middlewareLogger() mwlogging.Logger {
	logger := discardJSON()
	return mwlogging.LoggerFunc(func(ctx context.Context, level mwlogging.Level, msg string, fields ...any) {
		logger.Log(ctx, slog.Level(level), msg, fields...)
	})
}

// userKey is the context key of the user.
type userKey struct{}

// verifyEachTime verifies the token of every call with golang-jwt.
func verifyEachTime() mwauth.AuthFunc {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}),
		jwt.WithIssuer(tokenIssuer), jwt.WithAudience(tokenAudience), jwt.WithExpirationRequired())
	key := func(*jwt.Token) (any, error) { return []byte(secret), nil }
	return func(ctx context.Context) (context.Context, error) {
		token, err := mwauth.AuthFromMD(ctx, "bearer")
		if err != nil {
			return nil, err
		}
		var claims jwt.RegisteredClaims
		if _, err := parser.ParseWithClaims(token, &claims, key); err != nil {
			return nil, status.Error(codes.Unauthenticated, "invalid token")
		}
		return context.WithValue(ctx, userKey{}, claims.Subject), nil
	}
}

// userLimiter limits the calls of each user.
type userLimiter struct{ limits *rates }

func (l userLimiter) Limit(ctx context.Context) error {
	user, _ := ctx.Value(userKey{}).(string)
	if !l.limits.allow(user) {
		return errLimited
	}
	return nil
}

func middlewareUnary() grpc.UnaryServerInterceptor { return chained(middlewareInterceptors()) }

// chained chains interceptors as grpc-go's server does, call by call.
func chained(interceptors []grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
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
