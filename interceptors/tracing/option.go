package tracing

import (
	"errors"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Option configures an [Interceptor].
type Option interface{ apply(t *Interceptor) }

type option func(t *Interceptor)

func (f option) apply(t *Interceptor) { f(t) }

// WithTracerProvider uses provider to make spans. The default is OpenTelemetry's global provider, also
// if the program sets it later.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return option(func(t *Interceptor) {
		if options.IsNil(provider) {
			t.fail("WithTracerProvider: the provider is nil")
			return
		}
		t.provider = provider
	})
}

// WithPropagator uses propagator for the trace and the baggage. The default is the format of W3C Trace
// Context and Baggage. OpenTelemetry's global propagator is not used. The bounds of [Config] apply to
// the headers tracestate and baggage with any propagator.
func WithPropagator(propagator propagation.TextMapPropagator) Option {
	return option(func(t *Interceptor) {
		if propagator == nil {
			t.fail("WithPropagator: the propagator is nil")
			return
		}
		t.propagator = propagator
	})
}

// WithNewTrace starts a new trace for calls on a server for which f returns true, in addition to those
// that [Config] selects. f must be safe for concurrent use.
func WithNewTrace(f func(call *hauberk.Call) bool) Option {
	return option(func(t *Interceptor) {
		if f == nil {
			t.fail("WithNewTrace: the function is nil")
			return
		}
		t.newTrace = f
	})
}

// WithClock uses now as the clock for [Config.MaxForcedSamples]. The default is time.Now. now must be
// safe for concurrent use. The tracer provider sets the times of spans.
func WithClock(now func() time.Time) Option {
	return option(func(t *Interceptor) {
		if now == nil {
			t.fail("WithClock: the function is nil")
			return
		}
		t.elapsed = clock.Elapsed(now)
	})
}

// fail adds an error to the configuration's errors.
func (t *Interceptor) fail(text string) { t.err = errors.Join(t.err, errors.New(text)) }
