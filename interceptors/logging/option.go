package logging

import (
	"log/slog"
	"slices"
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
// what Config.Levels says goes before it. It is asked when the call has ended, with
// Config.Start also when it starts, with OK, and must be safe for concurrent use.
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

// State adds a piece of the call's state to its records, under a name of its own:
//
//	logging.New(logging.Config{}, logging.State("request_id", requestid.Key))
//
// The link that sets the state may stand further in; calls in which it is not set
// have no such attribute. A string is cut after 4096 bytes.
func State[T any](name string, key hauberk.Key[T]) Option {
	return option(func(x *Interceptor) {
		if key.Name() == "" {
			x.failf("State %q was given a key without a name; make keys with hauberk.NewKey", name)
			return
		}
		x.addState(name, valueOf(key))
	})
}

// state is a piece of a call's state that is logged.
type state struct {
	name  string
	value func(call *hauberk.Call) (slog.Value, bool)
}

func (x *Interceptor) addState(name string, value func(*hauberk.Call) (slog.Value, bool)) {
	switch {
	case name == "":
		x.failf("State was given an empty name")
	case isOwnKey(name):
		x.failf("State %q has the name of one of the record's own attributes", name)
	case slices.ContainsFunc(x.states, func(s state) bool { return s.name == name }):
		x.failf("State %q is there twice", name)
	}
	x.states = append(x.states, state{name, value})
}

// isOwnKey reports whether the record has an attribute of this name without State.
func isOwnKey(name string) bool {
	switch name {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey,
		KeySide, KeyService, KeyMethod, KeyKind, KeyPeer, KeyCode, KeyError, KeyReason, KeyDuration,
		KeySent, KeyReceived, KeyDeadlineLeft, KeyDecisions, KeyFieldsDropped:
		return true
	default:
		return false
	}
}

// valueOf returns a function that reads a key. Strings are read without the
// allocation that slog.AnyValue costs.
func valueOf[T any](key hauberk.Key[T]) func(*hauberk.Call) (slog.Value, bool) {
	if key, ok := any(key).(hauberk.Key[string]); ok {
		return func(call *hauberk.Call) (slog.Value, bool) {
			v, ok := key.From(call)
			return slog.StringValue(cut(v, maxText)), ok
		}
	}
	return func(call *hauberk.Call) (slog.Value, bool) {
		v, ok := key.From(call)
		return slog.AnyValue(v), ok
	}
}
