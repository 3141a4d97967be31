package logging_test

import (
	"context"
	"log/slog"
	"sync/atomic"
)

func loggerOf(h slog.Handler) *slog.Logger { return slog.New(h) }

// failing is a handler that returns an error.
type failing struct{ slog.Handler }

func (f failing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return failing{f.Handler.WithAttrs(attrs)}
}

func (failing) Handle(context.Context, slog.Record) error { return errNoRoom }

// held is a handler that waits for a signal before each record. Like handlers that write
// over a network, it fails if the context has ended.
type held struct {
	slog.Handler

	on      chan struct{}
	entered chan struct{}
}

func (h *held) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &held{h.Handler.WithAttrs(attrs), h.on, h.entered}
}

func (h *held) Handle(ctx context.Context, r slog.Record) error {
	h.entered <- struct{}{}
	<-h.on
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.Handler.Handle(ctx, r)
}

// panicking is a handler that panics at the first record.
type panicking struct {
	slog.Handler

	did *atomic.Bool
}

func (p panicking) WithAttrs(attrs []slog.Attr) slog.Handler {
	return panicking{p.Handler.WithAttrs(attrs), p.did}
}

func (p panicking) Handle(ctx context.Context, r slog.Record) error {
	if p.did.CompareAndSwap(false, true) {
		panic("disk on fire")
	}
	return p.Handler.Handle(ctx, r)
}
