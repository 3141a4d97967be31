package demo

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// newMetrics counts all that there is to count.
func newMetrics() *metrics.Interceptor {
	return metrics.New(metrics.Config{Decisions: true, CountBytes: true}, metrics.WithExemplars(tracing.Exemplar))
}

// newTracing makes spans as the environment says. If it says nothing they go nowhere,
// but the log and the metrics name them all the same.
func newTracing(providers *otelenv.Providers) *tracing.Interceptor {
	if providers.Tracer == nil {
		return tracing.New(tracing.Config{}, tracing.WithTracerProvider(trace.NewTracerProvider()))
	}
	return tracing.New(tracing.Config{},
		tracing.WithTracerProvider(providers.Tracer), tracing.WithPropagator(providers.Propagator))
}

// serveMetrics serves what was counted, and what Go and the operating system say of
// the process. No address is no server.
func (l *interceptors) serveMetrics(address *net.TCPAddr) (*scrape.Server, error) {
	if address == nil {
		return nil, nil //nolint:nilnil // no server is a fine one
	}
	reg := prometheus.NewRegistry()
	err := errors.Join(
		of("call", reg).Register(metricsprom.NewServerCollector(l.counts)),
		of("call", reg).Register(metricsprom.NewClientCollector(l.counts)),
		of("attempt", reg).Register(metricsprom.NewClientCollector(l.tries)),
		reg.Register(collectors.NewGoCollector()),
		reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, err
	}
	return scrape.Listen(address, reg)
}

// of tells the series of calls and of attempts apart, which have the same names.
func of(scope string, reg prometheus.Registerer) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"scope": scope}, reg)
}
