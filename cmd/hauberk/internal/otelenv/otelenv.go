package otelenv

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Service is the default of the service's name and version. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES override it.
type Service struct{ Name, Version string }

// Providers are the providers that the environment configures.
type Providers struct {
	Tracer     *trace.TracerProvider         // nil if traces are off
	Propagator propagation.TextMapPropagator // nil without Tracer
	Meter      *metric.MeterProvider         // nil if metrics are off

	spans trace.SpanExporter // of Tracer
}

// Open returns the providers that the environment configures, or an error for each invalid
// variable. Later errors, such as an unavailable collector, are passed to sayf, at most
// one per minute. They never block a call.
func Open(ctx context.Context, service Service, sayf func(format string, args ...any)) (*Providers, error) {
	return start(ctx, enabled(), service, sayf)
}

// OpenTraces is like Open, but for traces alone.
func OpenTraces(ctx context.Context, service Service, sayf func(format string, args ...any)) (*Providers, error) {
	return start(ctx, signals{traces: enabled().traces}, service, sayf)
}

func start(ctx context.Context, on signals, service Service, sayf func(string, ...any)) (*Providers, error) {
	if err := on.check(); err != nil || !on.any() {
		return &Providers{}, err
	}
	c := newReporter(sayf)
	otel.SetErrorHandler(c)
	otel.SetLogger(c.logger())
	p, err := open(ctx, on, service)
	if err = errors.Join(err, c.started()); err != nil {
		return nil, errors.Join(err, p.Shutdown(ctx))
	}
	if on.metrics && get(metricsExporter) == prometheus {
		sayf("metrics of OpenTelemetry at http://%s/metrics", prometheusAddress())
	}
	return p, nil
}

func open(ctx context.Context, on signals, service Service) (*Providers, error) {
	p := &Providers{}
	about, err := describe(ctx, service)
	if err == nil && on.traces {
		err = p.openTracer(ctx, about)
	}
	if err == nil && on.metrics {
		err = p.openMeter(ctx, about)
	}
	return p, err
}

// describe returns the attributes of the process. The environment overrides those of
// service.
func describe(ctx context.Context, service Service) (*resource.Resource, error) {
	own := []attribute.KeyValue{semconv.ServiceName(service.Name), semconv.ServiceVersion(service.Version)}
	return resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(own...), resource.WithFromEnv())
}

func (p *Providers) openTracer(ctx context.Context, about *resource.Resource) error {
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", tracesExporter, err)
	}
	p.spans = exporter
	p.Tracer = trace.NewTracerProvider(trace.WithResource(about), trace.WithBatcher(exporter))
	p.Propagator = autoprop.NewTextMapPropagator()
	return nil
}

func (p *Providers) openMeter(ctx context.Context, about *resource.Resource) error {
	reader, err := autoexport.NewMetricReader(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", metricsExporter, err)
	}
	p.Meter = metric.NewMeterProvider(metric.WithResource(about), metric.WithReader(reader))
	return nil
}

// Shutdown exports pending telemetry until ctx is done, and stops the exporters. A second
// call does nothing.
func (p *Providers) Shutdown(ctx context.Context) error {
	var errs []error
	if p.Tracer != nil {
		errs = append(errs, of("traces", p.endTracer(ctx)))
	}
	if p.Meter != nil {
		errs = append(errs, of("metrics", p.Meter.Shutdown(ctx)))
	}
	p.Tracer, p.Meter = nil, nil
	return errors.Join(errs...)
}

// of adds the signal to an error.
func of(signal string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", signal, err)
}

// endTracer stops the tracer provider. When ctx is done it also stops the exporter, since
// the tracer provider would not stop a running export.
func (p *Providers) endTracer(ctx context.Context) error {
	err := p.Tracer.Shutdown(ctx)
	if ctx.Err() != nil {
		_ = p.spans.Shutdown(ctx)
	}
	return err
}
