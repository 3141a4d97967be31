//go:build !race

// Under the race detector a sync.Pool, as slog's handlers have, loses part of what
// it is given.

package logging_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"
)

// A unary call on a server costs one allocation for the count of its messages, and
// another if its record has more attributes of its own than slog holds in place,
// which are five.
func TestAllocations(t *testing.T) {
	count := func(ctx context.Context, h slog.Handler) float64 {
		call := unaryCall(chainWith(h), service{})
		return testing.AllocsPerRun(1000, func() { _ = call(ctx) })
	}
	bounded, cancel := context.WithTimeout(callContext(), time.Hour)
	defer cancel()
	for _, test := range []struct {
		name    string
		ctx     context.Context
		handler slog.Handler
		budget  float64
	}{
		{"JSON", callContext(), slog.NewJSONHandler(io.Discard, nil), 1},
		{"text", callContext(), slog.NewTextHandler(io.Discard, nil), 1},
		{"with a deadline", bounded, slog.NewJSONHandler(io.Discard, nil), 2},
		{"not enabled", callContext(), slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}), 1},
	} {
		if got := count(test.ctx, test.handler) - count(test.ctx, nil); got > test.budget {
			t.Errorf("%s: %v allocations, budget %v", test.name, got, test.budget)
		}
	}
}
