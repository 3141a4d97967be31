package metricsprom_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

func Example() {
	calls := metrics.New(metrics.Config{})
	chain := hauberk.Must(hauberk.New(calls))

	collector := metricsprom.New(calls) // prometheus.MustRegister takes it, promhttp serves it

	// In a program the chain is carried by chain.NewServer().
	serve := chain.UnaryServerInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	_, _ = serve(context.Background(), "request", info, func(context.Context, any) (any, error) { return "response", nil })

	expose(collector, "grpc_server_started_total", "grpc_server_handled_total", "grpc_server_in_flight")
	// Output:
	// # HELP grpc_server_handled Calls ended on the server.
	// # TYPE grpc_server_handled counter
	// grpc_server_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1.0
	// # HELP grpc_server_in_flight Calls running on the server.
	// # TYPE grpc_server_in_flight gauge
	// grpc_server_in_flight{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 0.0
	// # HELP grpc_server_started Calls started on the server.
	// # TYPE grpc_server_started counter
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1.0
}

// Exemplars lead from a number to a trace of one of its calls. In a program the
// trace id is that of the span in ctx.
func ExampleNew_exemplars() {
	clock := hauberktest.NewClock() // a program needs none
	calls := metrics.New(metrics.Config{Buckets: []time.Duration{10 * time.Millisecond}},
		metrics.WithClock(clock.Now),
		metrics.WithExemplars(func(context.Context, *hauberk.Call) map[string]string {
			return map[string]string{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
		}))
	serve := hauberk.Must(hauberk.New(calls)).UnaryServerInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	_, _ = serve(context.Background(), "request", info, func(context.Context, any) (any, error) {
		clock.Advance(7 * time.Millisecond)
		return "response", nil
	})

	expose(metricsprom.New(calls), "grpc_server_handled_total", "grpc_server_handling_seconds")
	// Output:
	// # HELP grpc_server_handled Calls ended on the server.
	// # TYPE grpc_server_handled counter
	// grpc_server_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1.0 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1.0 1.767225600007e+09
	// # HELP grpc_server_handling_seconds Time from the start to the end of calls on the server.
	// # TYPE grpc_server_handling_seconds histogram
	// grpc_server_handling_seconds_bucket{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",le="0.01"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.007 1.767225600007e+09
	// grpc_server_handling_seconds_bucket{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",le="+Inf"} 1
	// grpc_server_handling_seconds_sum{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 0.007
	// grpc_server_handling_seconds_count{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
}

// A label tells the calls of each tenant apart, here by the request metadata.
func ExampleNew_labels() {
	calls := metrics.New(metrics.Config{MaxLabelSets: 2},
		metrics.WithLabel("tenant", func(ctx context.Context, call *hauberk.Call) string {
			return strings.Join(call.Metadata(ctx, "x-tenant"), ",")
		}))
	serve := hauberk.Must(hauberk.New(calls)).UnaryServerInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	for _, tenant := range []string{"acme", "acme", "globex", "initech", "hooli"} {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("x-tenant", tenant))
		_, _ = serve(ctx, "request", info, func(context.Context, any) (any, error) { return "response", nil })
	}

	expose(metricsprom.New(calls), "grpc_server_started_total")
	// Output:
	// # HELP grpc_server_started Calls started on the server.
	// # TYPE grpc_server_started counter
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",tenant="acme"} 2.0
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",tenant="globex"} 1.0
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",tenant="other"} 2.0
}

// expose prints some metrics as OpenMetrics has them.
func expose(collector prometheus.Collector, names ...string) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		if slices.Contains(names, f.GetName()) {
			_, _ = expfmt.MetricFamilyToOpenMetrics(os.Stdout, f)
		}
	}
}
