package metrics_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// Metrics add no allocations to those of a chain.
func TestAllocations(t *testing.T) {
	failed := status.Error(codes.NotFound, "no")
	failing := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return failed }}
	for _, backend := range []*hauberktest.Backend{{}, failing} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			bare := served(chainOf(t, passing), kind, backend)
			counted := served(chainOf(t, metrics.New(metrics.Config{})), kind, backend)
			checkAllocations(t, "server "+kind.String(), bare, counted)
		}
		c := hauberktest.Conn{Outcome: func(string) error { return nil }}
		if backend == failing {
			c.Outcome = func(string) error { return failed }
		}
		bare, counted := called(chainOf(t, passing), c), called(chainOf(t, metrics.New(metrics.Config{})), c)
		method := hauberktest.FullMethod(hauberk.Unary)
		checkAllocations(t, "client unary", func() error { return bare(method) }, func() error { return counted(method) })
	}
}

// Labels add no allocations after the first call with their values.
func TestAllocationsOfLabels(t *testing.T) {
	labelled := func() hauberk.Interceptor {
		fixed := func(context.Context, *hauberk.Call) string { return "acme" }
		return metrics.New(metrics.Config{}, metrics.WithLabel("tenant", fixed), metrics.WithLabel("zone", fixed))
	}
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		bare := served(chainOf(t, passing), kind, &hauberktest.Backend{})
		checkAllocations(t, kind.String(), bare, served(chainOf(t, labelled()), kind, &hauberktest.Backend{}))
	}
}

func checkAllocations(t *testing.T, what string, bare, counted func() error) {
	t.Helper()
	before := testing.AllocsPerRun(200, func() { _ = bare() })
	after := testing.AllocsPerRun(200, func() { _ = counted() })
	if after > before {
		t.Errorf("%s: %v allocations with metrics, %v without", what, after, before)
	}
}
