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

// Keys of the attributes of a panic's log record, beside those of [log/slog].
const (
	KeySide      = "side"       // "server" or "client"
	KeyService   = "service"    // "shop.v1.Cart"
	KeyMethod    = "method"     // "Get"
	KeyKind      = "kind"       // "unary", "client_stream", "server_stream" or "bidi_stream"
	KeyPanicType = "panic_type" // of the value: "*errors.errorString"
	KeyPanic     = "panic"      // the value as text, of the runtime's own panics; of others with Config.LogValues
	KeyStack     = "stack"      // as runtime/debug.Stack writes it
)

// Bounds of what comes from callers and from panics, in bytes.
const (
	maxName  = 256
	maxValue = 4096 // of a panic's value, and of state
)

// tell logs a panic and tells the handler. The panics of the logger, of the functions
// of WithAttrs and of the handler do not unwind further: they would end the process.
func (x *Interceptor) tell(ctx context.Context, call *hauberk.Call, e *PanicError) {
	more, panics := x.more(ctx, call)
	x.log(ctx, call, "panic in a call", e.Value, withStack(more, e.Stack))
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
		logger.LogAttrs(ctx, slog.LevelError, message, list...) //nolint:sloglint // one of tell's constants
	})
}

// contained runs f and returns the value of its panic.
func contained(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// more returns what State and WithAttrs add to the records of a panic, and the
// values of the panics of functions, which then add nothing.
func (x *Interceptor) more(ctx context.Context, call *hauberk.Call) (list []slog.Attr, panics []any) {
	for _, s := range x.states {
		if text, ok := s.key.Get(call); ok {
			list = append(list, slog.String(s.name, logtext.Cut(text, maxValue)))
		}
	}
	for _, f := range x.attrs {
		if v := contained(func() { list = append(list, f(ctx, call, nil)...) }); v != nil {
			panics = append(panics, v)
		}
	}
	return list, panics
}

// withStack returns a list that ends with the stack, the longest of all.
func withStack(list []slog.Attr, stack []byte) []slog.Attr {
	if stack == nil {
		return list
	}
	return append(slices.Clip(list), slog.String(KeyStack, string(stack)))
}

func (x *Interceptor) attributes(call *hauberk.Call, value any) []slog.Attr {
	m := call.Method()
	list := []slog.Attr{
		slog.String(KeySide, call.Side().String()),
		slog.String(KeyService, logtext.Cut(m.Service(), maxName)),
		slog.String(KeyMethod, logtext.Cut(m.Name(), maxName)),
		slog.String(KeyKind, m.Kind().String()),
		slog.String(KeyPanicType, logtext.Cut(fmt.Sprintf("%T", value), maxName)),
	}
	if x.logValues || isHarmless(value) {
		list = append(list, slog.String(KeyPanic, logtext.Cut(fmt.Sprint(value), maxValue)))
	}
	return list
}

// isHarmless reports whether the text of a panic's value holds nothing that a
// caller or a program has put there: that of runtime.Goexit, and those of the
// runtime's own errors, which tell of types, indexes and addresses. Other types may
// call themselves a runtime.Error.
func isHarmless(value any) bool {
	if value == hauberk.ErrGoexit { //nolint:errorlint // what wraps it has a text of its own
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
