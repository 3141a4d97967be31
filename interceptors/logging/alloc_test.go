//go:build !race

// With the race detector a sync.Pool, as slog's handlers have, drops some of its values.

package logging_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// A unary call on a server costs one allocation for the count of its messages, and another
// if its record has more than the five attributes that slog holds in place, in addition to those
// that are formatted in advance. Rules, sampling, attributes of the context and unused
// features cost none.
func TestAllocations(t *testing.T) {
	count := func(ctx context.Context, h slog.Handler, config logging.Config, options ...logging.Option) float64 {
		call := hauberktest.Direct{}.Server(chainWith(h, config, options...))
		return testing.AllocsPerRun(1000, func() { _ = call(ctx) })
	}
	bounded, cancel := context.WithTimeout(callContext(), time.Hour)
	defer cancel()
	json := slog.NewJSONHandler(io.Discard, nil)
	none := func(_ context.Context, _ *hauberk.Call, list []slog.Attr) []slog.Attr { return list }
	one := func(_ context.Context, _ *hauberk.Call, list []slog.Attr) []slog.Attr {
		return append(list, slog.String("span_id", "b7ad6b7169203331"))
	}
	for _, test := range []struct {
		name    string
		ctx     context.Context
		handler slog.Handler
		config  logging.Config
		options []logging.Option
		budget  float64
	}{
		{"JSON, ten attributes", callContext(), json, logging.Config{}, nil, 1},
		{"text, ten attributes", callContext(), slog.NewTextHandler(io.Discard, nil), logging.Config{}, nil, 1},
		{"with a deadline", bounded, json, logging.Config{}, nil, 1},
		{"not enabled", callContext(), slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}), logging.Config{}, nil, 1},
		{"sampled out", callContext(), json, logging.Config{Sampling: logging.Sampling{OneIn: 1 << 30}}, nil, 1},
		{"sampled", callContext(), json, logging.Config{Sampling: logging.Sampling{First: 1 << 30}}, nil, 1},
		{"off", callContext(), json, rules(logging.Rule{Methods: []string{"*"}, Off: true}), nil, 0},
		{"ruled", callContext(), json, rules(logging.Rule{Methods: []string{"*"}, Level: new(slog.LevelInfo)}), nil, 1},
		{"attributes", callContext(), json, logging.Config{}, []logging.Option{logging.WithAttrs(none)}, 1},
		{"an attribute more", callContext(), json, logging.Config{}, []logging.Option{logging.WithAttrs(one)}, 1},
		{"three attributes more", callContext(), json, logging.Config{}, []logging.Option{logging.WithAttrs(one), logging.WithAttrs(one), logging.WithAttrs(one)}, 2},
		{"decisions", callContext(), json, logging.Config{Decisions: true}, nil, 1},
	} {
		got := count(test.ctx, test.handler, test.config, test.options...) - count(test.ctx, nil, logging.Config{})
		if got > test.budget {
			t.Errorf("%s: %v allocations, budget %v", test.name, got, test.budget)
		}
	}
}
