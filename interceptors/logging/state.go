package logging

import (
	"encoding"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// State adds a piece of the call's state to its records, under a name of its own:
//
//	logging.New(logging.Config{}, logging.State("request_id", requestid.Key))
//
// The interceptor that sets the state may stand further in; calls in which it is not set
// have no such attribute.
//
// Texts, numbers, times, lists of texts, errors, and what has a LogValue or
// MarshalText method are logged, texts up to 4096 bytes. Of anything else only the
// type is: what is in it, such as the claims of an identity, may not be for the
// log. Use [WithAttrs] to log parts of it.
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

// isOwnKey reports whether a record has an attribute of this name without State.
func isOwnKey(name string) bool {
	switch name {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey,
		KeySide, KeyService, KeyMethod, KeyKind, KeyPeer, KeyCode, KeyError, KeyReason, KeyDuration,
		KeySent, KeyReceived, KeySentBytes, KeySentCompressedBytes, KeyReceivedBytes, KeyReceivedCompressedBytes,
		KeyDeadlineLeft, KeyRequestMetadata, KeyResponseHeader, KeyResponseTrailer,
		KeyDecisions, KeyDecisionsDropped, KeyFieldsDropped, KeySampledOut,
		KeyDirection, KeySequence, KeyType, KeySize, KeyPayload:
		return true
	default:
		return false
	}
}

// valueOf returns a function that reads a key. Strings are read without the
// allocation that others cost.
func valueOf[T any](key hauberk.Key[T]) func(*hauberk.Call) (slog.Value, bool) {
	if key, ok := any(key).(hauberk.Key[string]); ok {
		return func(call *hauberk.Call) (slog.Value, bool) {
			v, ok := key.Get(call)
			return slog.StringValue(logtext.Cut(v, maxText)), ok
		}
	}
	return func(call *hauberk.Call) (slog.Value, bool) {
		v, ok := key.Get(call)
		if !ok {
			return slog.Value{}, false
		}
		return safeValue(v), true
	}
}

// safeValue returns plainValue's, or the type of what panics when it is asked, as a
// nil pointer may: no call is failed for it.
func safeValue(v any) (value slog.Value) {
	if !contained(func() { value = plainValue(v) }) {
		value = slog.StringValue(fmt.Sprintf("[%T]", v))
	}
	return value
}

// plainValue returns a value for the log, if that is what its type is for.
func plainValue(v any) slog.Value {
	switch v := v.(type) {
	case slog.LogValuer:
		return bounded(slog.AnyValue(v))
	case time.Time, time.Duration:
		return slog.AnyValue(v)
	case encoding.TextMarshaler:
		return textValue(v)
	case error:
		return slog.StringValue(logtext.Cut(v.Error(), maxText))
	case []string:
		return listValue(v)
	}
	return scalarValue(reflect.ValueOf(v))
}

// scalarValue returns a number, a truth or a text, of named types what they call
// themselves; of anything else only the type.
func scalarValue(v reflect.Value) slog.Value {
	switch k := v.Kind(); {
	case k == reflect.Invalid:
		return slog.AnyValue(nil)
	case k == reflect.String, k >= reflect.Bool && k <= reflect.Complex128:
		if s, ok := reflect.TypeAssert[fmt.Stringer](v); ok {
			return slog.StringValue(logtext.Cut(s.String(), maxText))
		}
		if k == reflect.String {
			return slog.StringValue(logtext.Cut(v.String(), maxText))
		}
		return slog.AnyValue(v.Interface())
	default:
		return slog.StringValue("[" + v.Type().String() + "]")
	}
}

// bounded returns what a LogValue method says, with its texts cut: callers may have
// had a hand in them.
func bounded(v slog.Value) slog.Value {
	switch v = v.Resolve(); v.Kind() {
	case slog.KindString:
		return slog.StringValue(logtext.Cut(v.String(), maxText))
	case slog.KindGroup:
		var group []slog.Attr
		for _, a := range v.Group() {
			group = append(group, slog.Attr{Key: logtext.Cut(a.Key, maxName), Value: bounded(a.Value)})
		}
		return slog.GroupValue(group...)
	default:
		return boundedAny(v)
	}
}

func boundedAny(v slog.Value) slog.Value {
	switch text := v.Any().(type) {
	case error:
		return slog.StringValue(logtext.Cut(text.Error(), maxText))
	case []string:
		return listValue(text)
	default:
		return v
	}
}

func textValue(m encoding.TextMarshaler) slog.Value {
	text, err := m.MarshalText()
	if err != nil {
		return slog.StringValue(fmt.Sprintf("[%T]", m))
	}
	return slog.StringValue(logtext.Cut(string(text), maxText))
}

// listValue returns what fits of a list of texts, which others may change later.
func listValue(texts []string) slog.Value {
	var list []string
	room := maxText
	for _, text := range texts {
		if room <= 0 {
			return slog.AnyValue(append(list, "…"))
		}
		list = append(list, logtext.Cut(text, room))
		room -= max(len(text), 1)
	}
	return slog.AnyValue(list)
}
