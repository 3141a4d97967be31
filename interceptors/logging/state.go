package logging

import (
	"encoding"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callstate"
	"github.com/hauberk-rpc/hauberk/internal/lognames"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// State adds a value of the call's state to records, under name:
//
//	logging.New(logging.Config{}, logging.State("request_id", requestid.Key))
//
// An inner interceptor may set the state. If it is not set, the record has no such
// attribute.
//
// It logs texts, numbers, booleans, times, lists of texts, errors, and values whose type has
// a LogValue or MarshalText method. It cuts texts after 4096 bytes. Of other values, such as
// the claims of an identity, it logs only the type, because they may hold secrets. Use
// [WithAttrs] to log parts of them.
func State[T any](name string, key hauberk.Key[T]) Option {
	return option(func(x *Interceptor) {
		taken := func(name string) bool { return lognames.Has(x.names, name) }
		if err := x.states.Add(name, key, valueOf(key), taken); err != nil {
			x.failf("%w", err)
		}
	})
}

// states are the values of a call's state that are logged.
type states = callstate.List[func(call *hauberk.Call) (slog.Value, bool)]

// valueOf returns a function that reads a key. Unlike other types, strings cost no
// allocation.
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

// safeValue returns plainValue(v), or the type of v if that panics, as the method of a
// nil pointer may.
func safeValue(v any) (value slog.Value) {
	if !contained(func() { value = plainValue(v) }) {
		value = slog.StringValue(fmt.Sprintf("[%T]", v))
	}
	return value
}

// plainValue returns the value that is logged, according to the type of v.
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

// scalarValue returns a number, a boolean or a text, for named types the result of their
// String method, and for any other type its name.
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

// bounded returns the result of a LogValue method with its texts cut: callers may
// influence them.
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

// listValue returns a copy of the texts that fit into a record. The list may be modified
// later.
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
