package authnjwt

import (
	"context"
	"log/slog"
	"maps"
	"slices"
)

// guarded is a handler that ignores panics of another one. The validator logs on its own goroutines,
// where no interceptor recovers them. A log that fails must not end the process.
type guarded struct{ slog.Handler }

func (g guarded) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer ignorePanic()
	return g.Handler.Enabled(ctx, level)
}

func (g guarded) Handle(ctx context.Context, record slog.Record) error {
	defer ignorePanic()
	return g.Handler.Handle(ctx, record)
}

func (g guarded) WithAttrs(attrs []slog.Attr) slog.Handler {
	return g.or(func() slog.Handler { return g.Handler.WithAttrs(attrs) })
}

func (g guarded) WithGroup(name string) slog.Handler {
	return g.or(func() slog.Handler { return g.Handler.WithGroup(name) })
}

// or returns the handler that f makes, or g if f panics.
func (g guarded) or(f func() slog.Handler) slog.Handler {
	made := g
	func() {
		defer ignorePanic()
		made = guarded{f()}
	}()
	return made
}

func ignorePanic() { _ = recover() }

// logMissing logs at Debug that a token lacks a claim that the settings name: a wrong name would
// otherwise be seen only in calls that are denied later.
func (v *Validator) logMissing(ctx context.Context, setting string, p claimPath, claims map[string]any) {
	if p.text == "" || !v.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	if value, _, err := p.in(claims); err != nil || value != nil {
		return
	}
	const most = 32
	v.logger.LogAttrs(ctx, slog.LevelDebug, "authnjwt: a token lacks a claim that the settings name",
		slog.String("issuer", v.config.Issuer), slog.String("setting", setting), slog.String("claim", p.text),
		slog.Any("claims", first(slices.Sorted(maps.Keys(claims)), most)))
}
