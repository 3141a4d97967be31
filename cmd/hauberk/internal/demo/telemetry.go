package demo

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// newMetrics returns an interceptor with all optional metrics enabled.
func newMetrics() *metrics.Interceptor {
	return metrics.New(metrics.Config{Decisions: true, CountBytes: true}, metrics.WithExemplars(tracing.Exemplar))
}

// newTracing exports spans as the environment configures. Without a configuration spans
// are created but not exported, so that the log and the exemplars have trace ids.
func newTracing(providers *otelenv.Providers) *tracing.Interceptor {
	if providers.Tracer == nil {
		return tracing.New(tracing.Config{}, tracing.WithTracerProvider(trace.NewTracerProvider()))
	}
	return tracing.New(tracing.Config{},
		tracing.WithTracerProvider(providers.Tracer), tracing.WithPropagator(providers.Propagator))
}

// serveMetrics serves the metrics of calls and attempts, of the Go runtime and of the
// process. It returns nil if the address is nil.
func (l *interceptors) serveMetrics(address *net.TCPAddr) (*scrape.Server, error) {
	srv, err := scrape.Process(address, web.TLS{}, func(reg prometheus.Registerer) error {
		return errors.Join(
			of("call", reg).Register(metricsprom.NewServerCollector(l.counts)),
			of("call", reg).Register(metricsprom.NewClientCollector(l.counts)),
			of("attempt", reg).Register(metricsprom.NewClientCollector(l.tries)),
		)
	})
	srv.SetReady(scrape.Always) // the service of the demo runs before
	return srv, err
}

// of adds the label that separates the series of calls and attempts, whose names are the
// same.
func of(scope string, reg prometheus.Registerer) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"scope": scope}, reg)
}
