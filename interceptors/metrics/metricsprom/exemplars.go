package metricsprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// exemplar returns the exemplar of the latest call that ended with a code. Its value is 1, as
// in client_golang's exemplars of counters.
func (w *writer) exemplar(code int) []prometheus.Exemplar {
	if w.series.Exemplars == nil {
		return nil
	}
	return appendExemplar(nil, w.series.Exemplars.Handled[code], 1)
}

// examples returns the exemplars of the latest calls in all buckets.
func (w *writer) examples() []prometheus.Exemplar {
	if w.series.Exemplars == nil {
		return nil
	}
	var all []prometheus.Exemplar
	for _, e := range w.series.Exemplars.Buckets {
		if e != nil {
			all = appendExemplar(all, e, seconds(e.Took))
		}
	}
	return all
}

func appendExemplar(all []prometheus.Exemplar, e *metrics.Exemplar, value float64) []prometheus.Exemplar {
	if e == nil {
		return all
	}
	return append(all, prometheus.Exemplar{Value: value, Labels: e.Labels, Timestamp: e.At})
}

// withExemplars adds exemplars to a metric. If client_golang rejects an exemplar, the result
// is the metric without exemplars.
func withExemplars(m prometheus.Metric, all []prometheus.Exemplar) prometheus.Metric {
	if len(all) == 0 {
		return m
	}
	with, err := prometheus.NewMetricWithExemplars(m, all...)
	if err != nil {
		return m
	}
	return with
}
