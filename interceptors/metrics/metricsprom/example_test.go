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

	collector := metricsprom.NewServerCollector(calls) // a program passes it to prometheus.MustRegister

	// A program calls chain.NewServer() instead.
	serve := chain.UnaryServerInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	_, _ = serve(context.Background(), "request", info, func(context.Context, any) (any, error) { return "response", nil })

	expose(collector, "grpc_server_started_total", "grpc_server_handled_total", "grpc_server_in_flight")
	// Output:
	// # HELP grpc_server_handled Calls completed on the server, by status code.
	// # TYPE grpc_server_handled counter
	// grpc_server_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1.0
	// # HELP grpc_server_in_flight Calls in flight on the server.
	// # TYPE grpc_server_in_flight gauge
	// grpc_server_in_flight{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 0.0
	// # HELP grpc_server_started Calls started on the server.
	// # TYPE grpc_server_started counter
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1.0
}

// One interceptor serves both sides of a program: its collectors share a registry.
func Example_bothSides() {
	calls := metrics.New(metrics.Config{})
	chain := hauberk.Must(hauberk.New(calls))

	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metricsprom.NewServerCollector(calls),
		metricsprom.NewClientCollector(calls),
	)

	// A program calls chain.NewServer() and chain.DialOptions() instead.
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	_, _ = chain.UnaryServerInterceptor()(context.Background(), "request", info, func(context.Context, any) (any, error) {
		return "response", nil
	})
	_ = chain.ClientConn(conn{}).Invoke(context.Background(), "/shop.v1.Stock/List", "request", "response")

	printMetrics(registry, "grpc_server_started_total", "grpc_client_started_total")
	// Output:
	// # HELP grpc_client_started Calls started on the client.
	// # TYPE grpc_client_started counter
	// grpc_client_started_total{grpc_method="List",grpc_service="shop.v1.Stock",grpc_type="unary"} 1.0
	// # HELP grpc_server_started Calls started on the server.
	// # TYPE grpc_server_started counter
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1.0
}

// An exemplar links a number to the trace of a call. A program takes the trace ID from the
// span in ctx: see tracing.Exemplar.
func ExampleNewServerCollector_exemplars() {
	clock := hauberktest.NewClock() // a program uses the default clock
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

	expose(metricsprom.NewServerCollector(calls), "grpc_server_handled_total", "grpc_server_handling_seconds")
	// Output:
	// # HELP grpc_server_handled Calls completed on the server, by status code.
	// # TYPE grpc_server_handled counter
	// grpc_server_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1.0 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1.0 1.767225600007e+09
	// # HELP grpc_server_handling_seconds Latency of calls on the server, from start to end, in seconds.
	// # TYPE grpc_server_handling_seconds histogram
	// grpc_server_handling_seconds_bucket{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",le="0.01"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.007 1.767225600007e+09
	// grpc_server_handling_seconds_bucket{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",le="+Inf"} 1
	// grpc_server_handling_seconds_sum{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 0.007
	// grpc_server_handling_seconds_count{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
}

// A label distinguishes the calls of each tenant. Here the tenant is in the request metadata.
func ExampleNewServerCollector_labels() {
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

	expose(metricsprom.NewServerCollector(calls), "grpc_server_started_total")
	// Output:
	// # HELP grpc_server_started Calls started on the server.
	// # TYPE grpc_server_started counter
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",tenant="acme"} 2.0
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",tenant="globex"} 1.0
	// grpc_server_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",tenant="other"} 2.0
}

// expose prints the named metrics in the OpenMetrics format.
func expose(collector prometheus.Collector, names ...string) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	printMetrics(registry, names...)
}

func printMetrics(registry *prometheus.Registry, names ...string) {
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
