//go:build !race

package tracing_test

import (
	"log/slog"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// The allocations of a call beyond those of an empty chain are within the budget. otelgrpc, measured in
// the same way in bench/, has 38 allocations sampled and 29 unsampled on a server, and 35 and 30 on a
// client.
func TestAllocations(t *testing.T) {
	count := func(server bool, interceptors ...hauberk.Interceptor) float64 {
		chain := hauberk.Must(hauberk.New(interceptors...))
		call := called(chain, t.Context())
		if server {
			call = served(chain, callerContext(sampled))
		}
		return testing.AllocsPerRun(1000, func() { _ = call() })
	}
	noProvider := tracing.New(tracing.Config{}, tracing.WithTracerProvider(noop.NewTracerProvider()))
	for _, test := range []struct {
		name           string
		interceptor    hauberk.Interceptor
		server, client float64
	}{
		{"sampled", discarding(sdktrace.AlwaysSample()), 12, 14},
		{"unsampled", discarding(sdktrace.NeverSample()), 7, 10},
		{"no provider", noProvider, 4, 3},
	} {
		if got := count(true, test.interceptor) - count(true); got > test.server {
			t.Errorf("%s, server: %v allocations, budget %v", test.name, got, test.server)
		}
		if got := count(false, test.interceptor) - count(false); got > test.client {
			t.Errorf("%s, client: %v allocations, budget %v", test.name, got, test.client)
		}
	}
}

// LogAttrs allocates once.
func TestLogAttrsAllocations(t *testing.T) {
	s := record()
	ctx, span := s.provider.Tracer("test").Start(t.Context(), "test")
	defer span.End()
	list := make([]slog.Attr, 0, 2)
	if got := testing.AllocsPerRun(100, func() { _ = tracing.LogAttrs(ctx, nil, list) }); got > 1 {
		t.Errorf("%v allocations", got)
	}
}
