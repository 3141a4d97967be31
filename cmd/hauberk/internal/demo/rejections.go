package demo

import (
	"bytes"
	"context"
	"log/slog"
	"sync"

	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// firstRejections is a [slog.Handler] that keeps the first record of each rejection
// reason, as text. It considers only the records of the side that rejected the call,
// which have the decision. Safe for concurrent use.
type firstRejections struct {
	slog.Handler // formats records into kept.text

	kept *keptRecords
}

// keptRecords are the records that all handlers derived from one share.
type keptRecords struct {
	mu   sync.Mutex // guards the fields below
	seen map[string]bool
	text bytes.Buffer
}

func newFirstRejections() *firstRejections {
	kept := &keptRecords{seen: make(map[string]bool)}
	return &firstRejections{slog.NewTextHandler(&kept.text, nil), kept}
}

// Handle keeps the record if it is the first with its reason.
func (f *firstRejections) Handle(ctx context.Context, r slog.Record) error {
	var reason string
	var decided bool
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case logging.KeyReason:
			reason = a.Value.String()
		case logging.KeyDecisions:
			decided = true
		}
		return true
	})
	if reason == "" || !decided {
		return nil
	}
	f.kept.mu.Lock()
	defer f.kept.mu.Unlock()
	if f.kept.seen[reason] {
		return nil
	}
	f.kept.seen[reason] = true
	return f.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that adds attrs and keeps its records with those of f.
func (f *firstRejections) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &firstRejections{f.Handler.WithAttrs(attrs), f.kept}
}

// WithGroup returns a handler that opens a group and keeps its records with those of f.
func (f *firstRejections) WithGroup(name string) slog.Handler {
	return &firstRejections{f.Handler.WithGroup(name), f.kept}
}

// take returns the records that were kept since the last call, one a line.
func (f *firstRejections) take() string {
	f.kept.mu.Lock()
	defer f.kept.mu.Unlock()
	text := f.kept.text.String()
	f.kept.text.Reset()
	return text
}
