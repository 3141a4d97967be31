package after

import (
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// TracedServer is the chain of a server with spans and instruments.
func TracedServer(spans trace.TracerProvider, meters metric.MeterProvider) (*hauberk.Chain, error) {
	return hauberk.Config{CountBytes: true}.New( // for the instruments of sizes
		hauberk.Except("grpc.health.v1.Health/*",
			tracing.New(tracing.Config{PublicEndpoint: true}, tracing.WithTracerProvider(spans)),
			metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(meters)),
		),
	)
}

// TracedClient is the chain of a client with spans of calls and of attempts, and
// instruments.
func TracedClient(spans trace.TracerProvider, meters metric.MeterProvider) (*hauberk.Chain, error) {
	traced := tracing.New(tracing.Config{}, tracing.WithTracerProvider(spans))
	measured := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(meters))
	return hauberk.Config{CountBytes: true}.New(
		traced,
		measured.Calls(),
		retry.New(retry.Config{AllMethods: true}),
		traced.Attempts(),
		measured.Attempts(),
	)
}
