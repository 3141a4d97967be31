package recovery

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/hauberk-rpc/hauberk"
)

// Keys of the attributes of a panic's log record, beside those of [log/slog].
const (
	KeySide    = "side"    // "server" or "client"
	KeyService = "service" // "shop.v1.Cart"
	KeyMethod  = "method"  // "Get"
	KeyKind    = "kind"    // "unary", "client_stream", "server_stream" or "bidi_stream"
	KeyPanic   = "panic"   // the value as text
	KeyStack   = "stack"   // as runtime/debug.Stack writes it
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
		logger.LogAttrs(ctx, slog.LevelError, "panic in a call", attrs(call, e.Value, e.Stack)...)
	})
	if x.handle == nil {
		return
	}
	v := contained(func() { x.handle(ctx, call, e.Value, e.Stack) })
	if v != nil {
		contained(func() {
			logger.LogAttrs(ctx, slog.LevelError, "panic in the handler of panics", attrs(call, v, nil)...)
		})
	}
}

// contained runs f and returns the value of its panic.
func contained(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func attrs(call *hauberk.Call, value any, stack []byte) []slog.Attr {
	m := call.Method()
	list := []slog.Attr{
		slog.String(KeySide, call.Side().String()),
		slog.String(KeyService, cut(m.Service(), maxName)),
		slog.String(KeyMethod, cut(m.Name(), maxName)),
		slog.String(KeyKind, m.Kind().String()),
		slog.String(KeyPanic, cut(fmt.Sprint(value), maxValue)),
	}
	if stack != nil {
		list = append(list, slog.String(KeyStack, string(stack)))
	}
	return list
}

// cut bounds a text.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return text[:limit] + "…"
}
