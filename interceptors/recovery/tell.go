package recovery

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"

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
	maxValue = 4096
)

// tell logs a panic and tells the handler. Neither's own panics unwind further:
// they would end the process.
func (x *Interceptor) tell(ctx context.Context, call *hauberk.Call, e *PanicError) {
	logger := x.logger
	if logger == nil {
		logger = slog.Default()
	}
	contained(func() {
		logger.LogAttrs(ctx, slog.LevelError, "panic in a call", x.attrs(call, e.Value, e.Stack)...)
	})
	if x.handle == nil {
		return
	}
	v := contained(func() { x.handle(ctx, call, e.Value, e.Stack) })
	if v != nil {
		contained(func() {
			logger.LogAttrs(ctx, slog.LevelError, "panic in the handler of panics", x.attrs(call, v, nil)...)
		})
	}
}

// contained runs f and returns the value of its panic.
func contained(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func (x *Interceptor) attrs(call *hauberk.Call, value any, stack []byte) []slog.Attr {
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
	if stack != nil {
		list = append(list, slog.String(KeyStack, string(stack)))
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
