package audit_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
)

// BenchmarkAudit is a unary call without interceptors, and with records to several sinks. "file" is one caller, who
// waits for each fsync; "file, 64 callers" shows group commit.
func BenchmarkAudit(b *testing.B) {
	discard := audit.SinkFunc(func(context.Context, audit.Record) error { return nil })
	file := func(config audit.FileConfig) audit.Sink {
		config.Path = filepath.Join(b.TempDir(), "audit.jsonl")
		return open(b, config)
	}
	fields := audit.Config{Requests: []audit.Request{{Methods: []string{"*"}, All: true}}}
	tests := []struct {
		name     string
		config   audit.Config
		sink     audit.Sink
		parallel int
	}{
		{"bare", audit.Config{}, nil, 0},
		{"discard", audit.Config{}, discard, 0},
		{"discard, fields", fields, discard, 0},
		{"discard, best effort", audit.Config{BestEffort: true, Queue: 1 << 20}, discard, 0},
		{"slog to nothing", audit.Config{}, audit.Slog(slog.New(slog.NewJSONHandler(nothing{}, nil)), 0), 0},
		{"file, no fsync", audit.Config{}, file(audit.FileConfig{NoSync: true}), 0},
		{"file", audit.Config{}, file(audit.FileConfig{}), 0},
		{"file, 64 callers", audit.Config{}, file(audit.FileConfig{}), 64},
		{"file, 64 callers, fsync for each", audit.Config{}, file(audit.FileConfig{MaxBatch: 1}), 64},
	}
	for i := range tests {
		test := &tests[i]
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			var chain []hauberk.Interceptor
			if test.sink != nil {
				x := audit.New(test.config, test.sink)
				defer func() { _ = x.Close(context.Background()) }()
				chain = append(chain, x)
			}
			call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(chain...)))
			if test.parallel == 0 {
				for b.Loop() {
					_ = call(b.Context())
				}
				return
			}
			b.SetParallelism(test.parallel)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_ = call(b.Context())
				}
			})
		})
	}
}

type nothing struct{}

func (nothing) Write(text []byte) (int, error) { return len(text), nil }
