package logging

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// Option changes what an [Interceptor] depends on.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithLogger has calls logged by logger. The default is what slog.Default returns
// at the time of the record.
func WithLogger(logger *slog.Logger) Option {
	return option(func(x *Interceptor) {
		x.logger = logger
		if logger == nil {
			x.failf("WithLogger was given a nil logger")
		}
	})
}

// WithLevel has the level of a call chosen by level, in place of [DefaultLevel];
// what Config.Levels says goes before it. It is asked when the call has ended and,
// with OK, where starts and messages are logged, and must be safe for concurrent use.
func WithLevel(level func(call *hauberk.Call, code codes.Code) slog.Level) Option {
	return option(func(x *Interceptor) {
		x.level = level
		if level == nil {
			x.failf("WithLevel was given a nil function")
		}
	})
}

// WithClock has the time told by now, in place of time.Now. It must be safe for
// concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(x *Interceptor) {
		x.now, x.since = now, func(t time.Time) time.Duration { return now().Sub(t) }
		if now == nil {
			x.failf("WithClock was given a nil function")
		}
	})
}

// AttrsFunc appends to the attributes of a record. It must be safe for concurrent
// use, and must not keep the list.
type AttrsFunc = func(ctx context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr

// WithAttrs adds to each record what attrs appends to its attributes: what the
// context or the call has at that time, such as the ids of a span. ctx is the one
// that the interceptor was called with. Several such functions append one after the
// other.
//
//	logging.New(logging.Config{}, logging.WithAttrs(
//		func(ctx context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr {
//			return append(list, slog.String("region", regionOf(ctx)))
//		}))
func WithAttrs(attrs AttrsFunc) Option {
	return option(func(x *Interceptor) {
		if attrs == nil {
			x.failf("WithAttrs was given a nil function")
			return
		}
		x.attrs = append(x.attrs, attrs)
	})
}

// WithTypes has types of messages and extensions found by types, for what is in an
// Any and for the fields that Payloads names. The default is
// protoregistry.GlobalTypes, the types that the program interceptors.
func WithTypes(types Types) Option {
	return option(func(x *Interceptor) {
		x.types = types
		if types == nil {
			x.failf("WithTypes was given nil")
		}
	})
}
