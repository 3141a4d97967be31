package before

import (
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
)

// TracedServer is the option of a server with spans and instruments.
func TracedServer(spans trace.TracerProvider, meters metric.MeterProvider) grpc.ServerOption {
	return grpc.StatsHandler(otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(spans),
		otelgrpc.WithMeterProvider(meters),
		otelgrpc.WithPublicEndpoint(),
		otelgrpc.WithFilter(filters.Not(filters.HealthCheck())),
	))
}

// TracedClient is the option of a client with spans and instruments.
func TracedClient(spans trace.TracerProvider, meters metric.MeterProvider) grpc.DialOption {
	return grpc.WithStatsHandler(otelgrpc.NewClientHandler(
		otelgrpc.WithTracerProvider(spans),
		otelgrpc.WithMeterProvider(meters),
	))
}
