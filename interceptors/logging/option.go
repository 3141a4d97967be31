package logging

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
)

// Option sets a dependency of an [Interceptor]. [State] and [WithAttrs] are options of
// a [Handler], too.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithLogger uses logger for all records. The default is slog.Default at the time of
// the record.
func WithLogger(logger *slog.Logger) Option {
	return option(func(x *Interceptor) {
		x.logger = logger
		x.interceptorOnly("WithLogger")
		if logger == nil {
			x.failf("WithLogger was given a nil logger")
		}
	})
}

// WithLevel uses level to choose the level of a call, in place of [DefaultLevel].
// Config.Levels takes precedence. The interceptor calls level when a call has ended
// and, with OK, for starts and messages. level must be safe for concurrent use.
func WithLevel(level func(call *hauberk.Call, code codes.Code) slog.Level) Option {
	return option(func(x *Interceptor) {
		x.level = level
		x.interceptorOnly("WithLevel")
		if level == nil {
			x.failf("WithLevel was given a nil function")
		}
	})
}

// WithClock uses now as the clock, in place of time.Now. now must be safe for
// concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(x *Interceptor) {
		x.now, x.since = now, func(t time.Time) time.Duration { return now().Sub(t) }
		x.interceptorOnly("WithClock")
		if now == nil {
			x.failf("WithClock was given a nil function")
		}
	})
}

// AttrsFunc appends to the attributes of a record. It must be safe for concurrent
// use, and must not keep the list.
type AttrsFunc = func(ctx context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr

// WithAttrs adds to each record the attributes that attrs appends: data of the context
// or the call at that time, such as the ids of a span. ctx is the context that the
// interceptor was called with. Several such functions append in their order.
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

// Types finds types by their names. protoregistry.GlobalTypes finds those whose generated
// code the program imports.
type Types interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// WithTypes uses types to find the types of messages and extensions: those in an Any,
// and those of the fields that Payloads names. The default is
// protoregistry.GlobalTypes, which has the types whose generated code the program
// imports.
func WithTypes(types Types) Option {
	return option(func(x *Interceptor) {
		x.types = types
		x.interceptorOnly("WithTypes")
		if types == nil {
			x.failf("WithTypes was given nil")
		}
	})
}

// interceptorOnly reports an option that a [Handler] does not have.
func (x *Interceptor) interceptorOnly(option string) {
	if x.forHandler {
		x.failf("%s is an option of New; Handler has State and WithAttrs", option)
	}
}
