package logging

import (
	"context"
	"log/slog"
)

// entry is a record with its handler and the context whose values handlers read.
type entry struct {
	ctx     context.Context //nolint:containedctx // slog's handlers need its values, not its end
	handler slog.Handler
	record  slog.Record
}

// write passes a record to its handler, also if the call has been cancelled meanwhile. It ignores errors as
// slog.Logger does.
func (e entry) write() { _ = e.handler.Handle(context.WithoutCancel(e.ctx), e.record) }

// contained runs f and reports whether it returned without a panic.
func contained(f func()) (ok bool) {
	defer func() { ok = recover() == nil }()
	f()
	return true
}

// settled returns a value for another goroutine: LogValue methods are called now.
func settled(v slog.Value) slog.Value {
	v = v.Resolve()
	if v.Kind() != slog.KindGroup {
		return v
	}
	group := v.Group()
	list := make([]slog.Attr, 0, len(group))
	for _, a := range group {
		list = append(list, slog.Attr{Key: a.Key, Value: settled(a.Value)})
	}
	return slog.GroupValue(list...)
}
