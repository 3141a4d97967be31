package recovery

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// Limits of texts of callers and of panics, in bytes.
const (
	maxName  = 256
	maxValue = 4096 // of a panic's value, and of state
)

// report logs a panic and calls the handler. It contains panics of the logger, of the
// functions of WithAttrs and of the handler: they would end the process.
func (x *Interceptor) report(ctx context.Context, call *hauberk.Call, e *PanicError) {
	more, panics := x.more(ctx, call)
	x.log(ctx, call, "panic in a call", e.Value, x.withStack(more, e.Stack))
	for _, v := range panics {
		x.log(ctx, call, "panic in a function of WithAttrs", v, more)
	}
	if x.handle == nil {
		return
	}
	if v := contained(func() { x.handle(ctx, call, e.Value, e.Stack) }); v != nil {
		x.log(ctx, call, "panic in the handler of panics", v, more)
	}
}

func (x *Interceptor) log(ctx context.Context, call *hauberk.Call, message string, value any, more []slog.Attr) {
	logger := x.logger
	if logger == nil {
		logger = slog.Default()
	}
	contained(func() {
		list := append(x.attributes(call, value), more...)
		logger.LogAttrs(ctx, slog.LevelError, message, list...) //nolint:sloglint // one of report's constants
	})
}

// contained runs f and returns the value of its panic.
func contained(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// more returns the attributes of State and WithAttrs, and the values of the panics of
// functions, which then add nothing.
func (x *Interceptor) more(ctx context.Context, call *hauberk.Call) (list []slog.Attr, panics []any) {
	for _, s := range x.states {
		if text, ok := s.Of.Get(call); ok {
			list = append(list, slog.String(s.Name, logtext.Cut(text, maxValue)))
		}
	}
	for _, f := range x.attrs {
		if v := contained(func() { list = append(list, f(ctx, call, nil)...) }); v != nil {
			panics = append(panics, v)
		}
	}
	return list, panics
}

// withStack returns a list that ends with the place of the panic and the stack, which is
// the longest attribute.
func (x *Interceptor) withStack(list []slog.Attr, stack []byte) []slog.Attr {
	if stack == nil {
		return list
	}
	own, at := cutStack(string(stack))
	list = slices.Clip(list)
	if at != "" {
		list = with(list, x.names.PanicAt, at)
	}
	return with(list, x.names.Stack, own)
}

func (x *Interceptor) attributes(call *hauberk.Call, value any) []slog.Attr {
	m, n := call.Method(), &x.names
	service, short := logtext.Cut(m.Service(), maxName), logtext.Cut(m.Name(), maxName)
	list := with(nil, n.System, "grpc")
	list = with(list, n.Side, call.Side().String())
	list = with(list, n.Service, service)
	list = with(list, n.Method, service+"/"+short)
	list = with(list, n.ShortMethod, short)
	list = with(list, n.Kind, m.Kind().String())
	list = with(list, n.PanicType, logtext.Cut(fmt.Sprintf("%T", value), maxName))
	if x.logValues || isHarmless(value) {
		list = with(list, n.Panic, logtext.Cut(fmt.Sprint(value), maxValue))
	}
	return list
}

// with appends an attribute, if it has a name.
func with(list []slog.Attr, name, text string) []slog.Attr {
	if name == "" {
		return list
	}
	return append(list, slog.String(name, text))
}

// isHarmless reports whether the text of a panic's value is free of data of callers and
// of the program. That is so for runtime.Goexit, and for the runtime's own errors, whose
// texts have types, indexes and addresses. Other types may implement runtime.Error, too.
func isHarmless(value any) bool {
	if value == hauberk.ErrGoexit { //nolint:errorlint // an error that wraps it has another text
		return true
	}
	if _, ok := value.(runtime.Error); !ok {
		return false
	}
	t := reflect.TypeOf(value)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "runtime"
}
