package main

import (
	"slices"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/bench/testdata/migrate/after"
	"github.com/hauberk-rpc/hauberk/bench/testdata/migrate/before"
)

// telemetry contains the spans and metrics of a program.
type telemetry struct {
	spans  *tracetest.SpanRecorder
	meters *sdkmetric.ManualReader
}

func (o telemetry) providers() (*sdktrace.TracerProvider, *sdkmetric.MeterProvider) {
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(o.spans)), sdkmetric.NewMeterProvider(sdkmetric.WithReader(o.meters))
}

func newTelemetry() telemetry {
	return telemetry{tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()}
}

// TestMigratedOtelgrpc: the spans and metrics of the second guide's programs have
// the names that it lists.
func TestMigratedOtelgrpc(t *testing.T) {
	a, b := newTelemetry(), newTelemetry()
	spans, meters := a.providers()
	migration{
		server: []grpc.ServerOption{before.TracedServer(spans, meters)},
		client: []grpc.DialOption{before.TracedClient(spans, meters)},
	}.call(t)

	spans, meters = b.providers()
	server, err := after.TracedServer(spans, meters)
	if err != nil {
		t.Fatal(err)
	}
	client, err := after.TracedClient(spans, meters)
	if err != nil {
		t.Fatal(err)
	}
	migration{
		server:   server.ServerOptions(),
		register: func(srv grpc.ServiceRegistrar) grpc.ServiceRegistrar { return server.Registrar(srv) },
		client:   client.DialOptions(),
	}.call(t)

	const unary, stream = "hauberk.test.v1.TestService/Unary", "hauberk.test.v1.TestService/ServerStream"
	wantNames(t, "spans before", a.spanNames(), "client "+unary, "server "+unary, "client "+stream, "server "+stream)
	wantNames(t, "spans after", b.spanNames(), "client "+unary, "server "+unary, "client "+stream, "server "+stream)
	for name := range a.attributes() {
		if !b.attributes()[name] {
			t.Errorf("the attribute %s is gone", name)
		}
	}
	wantNames(t, "instruments before", a.instruments(t), "rpc.client.call.duration", "rpc.server.call.duration")
	wantNames(t, "instruments after", b.instruments(t),
		"grpc.client.attempt.duration", "grpc.client.attempt.rcvd_total_compressed_message_size",
		"grpc.client.attempt.sent_total_compressed_message_size", "grpc.client.attempt.started", "grpc.client.call.duration",
		"grpc.server.call.duration", "grpc.server.call.rcvd_total_compressed_message_size",
		"grpc.server.call.sent_total_compressed_message_size", "grpc.server.call.started")
}

func wantNames(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q\nwant %q", what, got, want)
	}
}

func (o telemetry) spanNames() (names []string) {
	for _, span := range o.spans.Ended() {
		names = append(names, span.SpanKind().String()+" "+span.Name())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// attributes returns the names of all attributes, each with the kind of its span.
func (o telemetry) attributes() map[string]bool {
	names := make(map[string]bool)
	for _, span := range o.spans.Ended() {
		for _, attr := range span.Attributes() {
			names[span.SpanKind().String()+" "+string(attr.Key)] = true
		}
	}
	return names
}

func (o telemetry) instruments(t *testing.T) (names []string) {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := o.meters.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}
