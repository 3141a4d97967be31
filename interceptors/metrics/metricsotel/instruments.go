package metricsotel

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/hauberk-rpc/hauberk/internal/buildversion"
)

// ScopeName is the name of the instrumentation scope. The version of the scope is that of the
// Hauberk module in the program.
const ScopeName = "github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"

// attemptInstruments are the instruments of calls on a server or of attempts on a client. They differ
// in their names only.
type attemptInstruments struct {
	started        metric.Int64Counter
	duration       metric.Float64Histogram
	sent, received metric.Int64Histogram
	sizes          bool // sent or received is enabled
}

// callInstruments are the instruments of calls on a client.
type callInstruments struct {
	duration        metric.Float64Histogram
	retries, hedges metric.Int64Histogram
	retryDelay      metric.Float64Histogram
	countsAttempts  bool // one of the last three is enabled
}

// maker makes the enabled instruments and collects the errors of the provider.
type maker struct {
	meter metric.Meter
	on    map[string]bool
	errs  []error
}

func newMaker(p metric.MeterProvider, on map[string]bool) *maker {
	return &maker{meter: p.Meter(ScopeName, metric.WithInstrumentationVersion(buildversion.Hauberk())), on: on}
}

func (m *maker) server() attemptInstruments {
	return m.attempt(ServerCallStarted, ServerCallDuration, ServerCallSent, ServerCallReceived)
}

func (m *maker) client() attemptInstruments {
	return m.attempt(ClientAttemptStarted, ClientAttemptDuration, ClientAttemptSent, ClientAttemptReceived)
}

func (m *maker) attempt(started, duration, sent, received string) attemptInstruments {
	return attemptInstruments{
		started: m.counter(started), duration: m.durations(duration),
		sent: m.numbers(sent), received: m.numbers(received),
		sizes: m.on[sent] || m.on[received],
	}
}

func (m *maker) call() callInstruments {
	return callInstruments{
		duration: m.durations(ClientCallDuration),
		retries:  m.numbers(ClientCallRetries), hedges: m.numbers(ClientCallHedges),
		retryDelay:     m.durations(ClientCallRetryDelay),
		countsAttempts: m.on[ClientCallRetries] || m.on[ClientCallHedges] || m.on[ClientCallRetryDelay],
	}
}

func (m *maker) counter(name string) metric.Int64Counter {
	if !m.on[name] {
		return noop.Int64Counter{}
	}
	d := defined(name)
	c, err := m.meter.Int64Counter(name, metric.WithUnit(d.unit), metric.WithDescription(d.description))
	m.errs = append(m.errs, err)
	return c
}

func (m *maker) durations(name string) metric.Float64Histogram {
	if !m.on[name] {
		return noop.Float64Histogram{}
	}
	d := defined(name)
	h, err := m.meter.Float64Histogram(name, metric.WithUnit(d.unit), metric.WithDescription(d.description),
		metric.WithExplicitBucketBoundaries(d.bounds...))
	m.errs = append(m.errs, err)
	return h
}

func (m *maker) numbers(name string) metric.Int64Histogram {
	if !m.on[name] {
		return noop.Int64Histogram{}
	}
	d := defined(name)
	h, err := m.meter.Int64Histogram(name, metric.WithUnit(d.unit), metric.WithDescription(d.description),
		metric.WithExplicitBucketBoundaries(d.bounds...))
	m.errs = append(m.errs, err)
	return h
}

func (m *maker) err() error { return errors.Join(m.errs...) }
