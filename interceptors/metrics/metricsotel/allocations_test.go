//go:build !race

package metricsotel_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// With the SDK recording a call allocates nothing. A96 takes two allocations per client call.
func TestAllocations(t *testing.T) {
	failed := status.Error(codes.NotFound, "no")
	broken := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return failed }}
	m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(newRecorder(t)))
	a96 := metricsotel.New(metricsotel.Config{Enable: ofRetries}, metricsotel.WithMeterProvider(newRecorder(t)))
	off := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(noop.NewMeterProvider()))
	for _, test := range []struct {
		name         string
		interceptors []hauberk.Interceptor
		more         float64
	}{
		{"sdk", []hauberk.Interceptor{m}, 0},
		{"no sdk", []hauberk.Interceptor{off}, 0},
		{"calls and attempts", []hauberk.Interceptor{m.Calls(), m.Attempts()}, 0},
		{"A96", []hauberk.Interceptor{a96.Calls(), a96.Attempts()}, 2},
	} {
		for _, backend := range []*hauberktest.Backend{{}, broken} {
			for _, kind := range kindsOr(nil) {
				bare, counted := chainOf(t, passing), chainOf(t, test.interceptors...)
				checkAllocations(t, test.name+" server "+kind.String(), 0, served(bare, kind, backend), served(counted, kind, backend))
			}
		}
		for _, c := range []hauberktest.Conn{{}, {Outcome: func(string) error { return failed }}} {
			bare, counted := chainOf(t, passing), chainOf(t, test.interceptors...)
			for _, opts := range [][]grpc.CallOption{nil, {grpc.StaticMethod()}} {
				without, with := called(bare, c, opts...), called(counted, c, opts...)
				checkAllocations(t, test.name+" client", test.more,
					func() error { return without("/s/m") }, func() error { return with("/s/m") })
			}
		}
	}
}

func checkAllocations(t *testing.T, what string, more float64, bare, counted func() error) {
	t.Helper()
	before := testing.AllocsPerRun(200, func() { _ = bare() })
	after := testing.AllocsPerRun(200, func() { _ = counted() })
	if after > before+more {
		t.Errorf("%s: %v allocations with metrics, %v without", what, after, before)
	}
}
