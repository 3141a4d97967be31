package serving

import (
	"context"
	"errors"
	"log/slog"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// HealthServer is what [WithHealth] needs of a health service. health.Server of grpc-go has it.
type HealthServer interface {
	SetServingStatus(service string, status healthpb.HealthCheckResponse_ServingStatus)
}

// WithHealth reports the state to a health service: SERVING if the state is ready, and otherwise NOT_SERVING, for
// the server and for [Config].Services. It does so in New and with each change. SetServingStatus must not call
// the interceptor.
func WithHealth(server HealthServer) Option {
	return option(func(x *Interceptor) {
		if x.isNil(options.IsNil(server), "WithHealth was given a nil server") {
			return
		}
		x.health = append(x.health, server)
	})
}

// WithListener calls listener with each change of the state, in their order, on a separate goroutine: it may
// block, panic and call the interceptor. At most 1024 changes wait. Further ones are dropped; the measurement
// serving_dropped_changes_total counts them. A panic drops the change; serving_listener_panics_total counts it.
// The goroutine ends when no change waits.
func WithListener(listener func(Change)) Option {
	return option(func(x *Interceptor) {
		if !x.isNil(listener == nil, "WithListener was given a nil function") {
			x.news.Listeners = append(x.news.Listeners, listener)
		}
	})
}

// WithLogger logs each change of the state with logger, at Info, as [WithListener] calls listeners. The record has
// the two states, and how many calls run that the new state does not accept. The default is not to log.
func WithLogger(logger *slog.Logger) Option {
	return option(func(x *Interceptor) {
		if x.isNil(logger == nil, "WithLogger was given a nil logger") {
			return
		}
		x.news.Listeners = append(x.news.Listeners, func(c Change) {
			logger.LogAttrs(context.Background(), slog.LevelInfo, "the serving state has changed",
				slog.String("from", string(c.From)), slog.String("to", string(c.To)),
				slog.Int("not_accepted", c.NotAccepted))
		})
	})
}

// isNil notes an error if an argument is nil.
func (x *Interceptor) isNil(isNil bool, text string) bool {
	if isNil {
		x.err = errors.Join(x.err, errors.New(text))
	}
	return isNil
}
