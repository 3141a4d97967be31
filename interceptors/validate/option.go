package validate

import (
	"errors"
	"fmt"
	"log/slog"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
)

// Option adds to an [Interceptor] what a [Config] cannot have: functions, descriptors and other
// dependencies.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

func (x *Interceptor) failf(format string, args ...any) {
	x.err = errors.Join(x.err, fmt.Errorf(format, args...))
}

// WithServices compiles the rules of the requests of services in [New], and those of their
// responses if the configuration validates responses, on either side. Calls then need not wait
// for the compiler, and hauberk.New reports rules that do not compile:
//
//	validate.WithServices(shoppb.File_shop_v1_cart_proto.Services().ByName("Cart"))
func WithServices(services ...protoreflect.ServiceDescriptor) Option {
	return option(func(x *Interceptor) {
		for i, service := range services {
			if service == nil {
				x.failf("service %d of WithServices is nil", i+1)
				continue
			}
			x.services = append(x.services, service)
		}
	})
}

// WithAnswer calls answer for an invalid message with [Config].Invalid Answer. The messages that
// it returns are those of hauberk.Call.Reply: exactly one of the type of the method's response,
// or any number if the method streams responses. If it returns an error, the call ends with
// the status of that. rejection is what the call would have ended with; answer may return it.
func WithAnswer(answer func(call *hauberk.Call, rejection *hauberk.Rejection) ([]any, error)) Option {
	return option(func(x *Interceptor) {
		x.answer = answer
		if answer == nil {
			x.failf("WithAnswer was given a nil function")
		}
	})
}

// WithValidator uses validator in place of a new one: one with further options, such as a
// resolver of extensions, or one that other code uses as well.
func WithValidator(validator protovalidate.Validator) Option {
	return option(func(x *Interceptor) {
		x.given = validator
		if validator == nil {
			x.failf("WithValidator was given a nil validator")
		}
	})
}

// WithLogger uses logger to log rules that do not compile, at level ERROR. The default is
// slog.Default at that time.
func WithLogger(logger *slog.Logger) Option {
	return option(func(x *Interceptor) {
		x.logger = logger
		if logger == nil {
			x.failf("WithLogger was given a nil logger")
		}
	})
}
