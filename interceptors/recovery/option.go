package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/lognames"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

func (x *Interceptor) failf(format string, args ...any) {
	x.err = errors.Join(x.err, fmt.Errorf(format, args...))
}

// WithLogger uses logger to log panics, at level ERROR. The default is slog.Default at
// the time of the panic.
func WithLogger(logger *slog.Logger) Option {
	return option(func(x *Interceptor) {
		x.logger = logger
		if logger == nil {
			x.failf("WithLogger was given a nil logger")
		}
	})
}

// WithHandler calls handle for each panic, after it is logged.
func WithHandler(handle Handler) Option {
	return option(func(x *Interceptor) {
		x.handle = handle
		if handle == nil {
			x.failf("WithHandler was given a nil function")
		}
	})
}

// Handler receives a panic: its value, or [hauberk.ErrGoexit], and the whole stack of its
// goroutine. It runs on that goroutine and must be safe for concurrent use. If it panics
// itself, that panic is logged.
type Handler func(ctx context.Context, call *hauberk.Call, value any, stack []byte)

// State adds a text of the call's state to its records, under name, so that they are
// found with the other records of the call:
//
//	recovery.New(recovery.Config{}, recovery.State("request_id", requestid.Key))
//
// The interceptor that sets the state may be at any place in the chain. The record of a
// panic that happens before has no such attribute. Texts are cut after 4096 bytes.
func State(name string, key hauberk.Key[string]) Option {
	return option(func(x *Interceptor) {
		taken := func(name string) bool { return lognames.Has(x.names, name) }
		if err := x.states.Add(name, key, key, taken); err != nil {
			x.failf("%w", err)
		}
	})
}

// AttrsFunc appends to the attributes of a record. It runs on the goroutine that
// panicked and must be safe for concurrent use. If it panics itself, that panic is logged.
type AttrsFunc = func(ctx context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr

// WithAttrs adds to the records of a panic the attributes that attrs appends, such as the
// ids of a span:
//
//	recovery.New(recovery.Config{}, recovery.WithAttrs(tracing.LogAttrs))
//
// ctx is the context at the place of the panic. list is empty: several such functions
// have separate lists. Their texts are passed to the logger's handler unchanged.
func WithAttrs(attrs AttrsFunc) Option {
	return option(func(x *Interceptor) {
		if attrs == nil {
			x.failf("WithAttrs was given a nil function")
			return
		}
		x.attrs = append(x.attrs, attrs)
	})
}
