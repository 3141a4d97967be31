package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

func (x *Interceptor) failf(format string, args ...any) {
	x.err = errors.Join(x.err, fmt.Errorf(format, args...))
}

// State adds a text of the call's state to Record.State, under name, such as the request ID. The
// interceptor that sets the state may be at any place in the chain; the record at the start has what is
// set by then.
func State(name string, key hauberk.Key[string]) Option {
	return option(func(x *Interceptor) {
		if err := x.states.Add(name, key, key, nil); err != nil {
			x.failf("%w", err)
		}
	})
}

// WithFailed calls failed for each record that is not written: with the error of the sink, [ErrTimeout],
// [ErrPanic] or [ErrDropped]. It runs on the goroutine of the call, or that of the queue, and must be safe
// for concurrent use and return soon. A panic of failed is contained.
func WithFailed(failed func(ctx context.Context, r Record, err error)) Option {
	return option(func(x *Interceptor) {
		if x.failed = failed; failed == nil {
			x.failf("WithFailed was given a nil function")
		}
	})
}

// Types finds types by their names. protoregistry.GlobalTypes finds those whose generated code the program
// imports.
type Types interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// WithTypes uses types to find the types of messages in an Any, and those of the fields that Config.Redact
// names. The default is protoregistry.GlobalTypes.
func WithTypes(types Types) Option {
	return option(func(x *Interceptor) {
		if x.types = types; options.IsNil(types) {
			x.failf("WithTypes was given nil")
		}
	})
}

// WithClock uses now as the clock, in place of time.Now. now must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(x *Interceptor) {
		if x.now = now; now == nil {
			x.failf("WithClock was given a nil function")
		}
	})
}
