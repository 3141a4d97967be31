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

// Service is what the program calls itself, unless OTEL_SERVICE_NAME or
// OTEL_RESOURCE_ATTRIBUTES say otherwise.
type Service struct{ Name, Version string }

// Providers are what the environment asks for.
type Providers struct {
	Tracer     *trace.TracerProvider         // nil: no tracing
	Propagator propagation.TextMapPropagator // nil without Tracer
	Meter      *metric.MeterProvider         // nil: no metrics

	spans trace.SpanExporter // of Tracer
}

// Open returns what the environment asks for, or all that is wrong with it. What
// goes wrong later, such as a collector that cannot be reached, is told to sayf, now
// and then; it never holds up a call.
func Open(ctx context.Context, service Service, sayf func(format string, args ...any)) (*Providers, error) {
	return start(ctx, asked(), service, sayf)
}

// OpenTraces does the same for traces alone.
func OpenTraces(ctx context.Context, service Service, sayf func(format string, args ...any)) (*Providers, error) {
	return start(ctx, signals{traces: asked().traces}, service, sayf)
}

func start(ctx context.Context, on signals, service Service, sayf func(string, ...any)) (*Providers, error) {
	if err := on.check(); err != nil || !on.any() {
		return &Providers{}, err
	}
	c := newComplaints(sayf)
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

// describe returns the attributes of the process: the program's, and over them those
// of the environment.
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

// Shutdown exports what waits, until ctx is done, and ends the exporters. A second
// one does nothing.
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

// of says which signal an error is about.
func of(signal string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", signal, err)
}

// endTracer ends an export that goes on when ctx is done: the tracer provider would
// leave it behind.
func (p *Providers) endTracer(ctx context.Context) error {
	err := p.Tracer.Shutdown(ctx)
	if ctx.Err() != nil {
		_ = p.spans.Shutdown(ctx)
	}
	return err
}
