package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/hauberk-rpc/hauberk"
)

// Option changes what an [Interceptor] depends on.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

func (x *Interceptor) failf(format string, args ...any) {
	x.err = errors.Join(x.err, fmt.Errorf(format, args...))
}

// WithLogger has panics logged by logger, at level ERROR. The default is what
// slog.Default returns at the time of the panic.
func WithLogger(logger *slog.Logger) Option {
	return option(func(x *Interceptor) {
		x.logger = logger
		if logger == nil {
			x.failf("WithLogger was given a nil logger")
		}
	})
}

// WithHandler has handle told of each panic, after it has been logged.
func WithHandler(handle Handler) Option {
	return option(func(x *Interceptor) {
		x.handle = handle
		if handle == nil {
			x.failf("WithHandler was given a nil function")
		}
	})
}

// State adds a text of the call's state to its records, under a name of its own, so
// that they are found with the other records of the call:
//
//	recovery.New(recovery.Config{}, recovery.State("request_id", requestid.Key))
//
// The interceptor that sets the state may stand anywhere. Records of panics that come before
// it is set have no such attribute. Texts are cut after 4096 bytes.
func State(name string, key hauberk.Key[string]) Option {
	return option(func(x *Interceptor) {
		switch {
		case key.Name() == "":
			x.failf("State %q was given a key without a name; make keys with hauberk.NewKey", name)
		case name == "":
			x.failf("State was given an empty name")
		case isOwnKey(name):
			x.failf("State %q has the name of one of the record's own attributes", name)
		case slices.ContainsFunc(x.states, func(s state) bool { return s.name == name }):
			x.failf("State %q is there twice", name)
		}
		x.states = append(x.states, state{name, key})
	})
}

// state is a piece of a call's state that is logged.
type state struct {
	name string
	key  hauberk.Key[string]
}

// isOwnKey reports whether a record has an attribute of this name without State.
func isOwnKey(name string) bool {
	switch name {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey,
		KeySide, KeyService, KeyMethod, KeyKind, KeyPanicType, KeyPanic, KeyStack:
		return true
	default:
		return false
	}
}

// AttrsFunc appends to the attributes of a record. It runs on the goroutine that
// panicked and must be safe for concurrent use; a panic of its own is logged.
type AttrsFunc = func(ctx context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr

// WithAttrs adds to the records of a panic what attrs appends, such as the ids of a
// span:
//
//	recovery.New(recovery.Config{}, recovery.WithAttrs(tracing.LogAttrs))
//
// ctx is the one at the place of the panic. list is empty: each of several such
// functions is given one of its own. Their texts are left to the logger's handler.
func WithAttrs(attrs AttrsFunc) Option {
	return option(func(x *Interceptor) {
		if attrs == nil {
			x.failf("WithAttrs was given a nil function")
			return
		}
		x.attrs = append(x.attrs, attrs)
	})
}
