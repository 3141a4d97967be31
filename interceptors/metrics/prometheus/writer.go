package metricsprom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// writer writes the metrics of one series.
type writer struct {
	out    chan<- prometheus.Metric
	series *metrics.Series
	descs  *sideDescs
}

// write writes the counters and the gauge.
func (w *writer) write() {
	s, d := w.series, w.descs
	w.counter(d.started, s.Started)
	w.counter(d.received, s.Received)
	w.counter(d.sent, s.Sent)
	for code, n := range s.Handled {
		if n > 0 || s.Registered {
			w.counter(d.handled, n, codes.Code(code).String())
		}
	}
	m, err := prometheus.NewConstMetric(d.inFlight, prometheus.GaugeValue, float64(s.InFlight()), w.labels()...)
	emit(w.out, d.inFlight, m, err)
}

// writeHandlingTime writes the histogram.
func (w *writer) writeHandlingTime(bounds []float64) {
	s, d := w.series, w.descs
	buckets := make(map[float64]uint64, len(bounds))
	var n uint64
	for i, bound := range bounds {
		n += s.Buckets[i]
		buckets[bound] = n
	}
	n += s.Buckets[len(bounds)]
	m, err := prometheus.NewConstHistogramWithCreatedTimestamp(
		d.handling, n, s.Sum.Seconds(), buckets, s.Since, w.labels()...)
	emit(w.out, d.handling, m, err)
}

func (w *writer) counter(desc *prometheus.Desc, n uint64, more ...string) {
	m, err := prometheus.NewConstMetricWithCreatedTimestamp(
		desc, prometheus.CounterValue, float64(n), w.series.Since, append(w.labels(), more...)...)
	emit(w.out, desc, m, err)
}

func (w *writer) labels() []string {
	return []string{w.series.Kind.String(), w.series.Service, w.series.Method}
}

func (c *Collector) writeRefusal(out chan<- prometheus.Metric, r metrics.Refusal) {
	labels := []string{r.Side.String(), r.Interceptor, r.Reason}
	if r.Origin == metrics.Remote {
		labels = []string{r.Reason}
	}
	desc := c.refused[r.Origin]
	m, err := prometheus.NewConstMetric(desc, prometheus.CounterValue, float64(r.Count), labels...)
	emit(out, desc, m, err)
}

// emit tells Prometheus a metric, or what is wrong with it.
func emit(out chan<- prometheus.Metric, desc *prometheus.Desc, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	out <- m
}

// inSeconds returns bounds as Prometheus has them: 0.005 for 5 ms.
func inSeconds(bounds []time.Duration) []float64 {
	seconds := make([]float64, len(bounds))
	for i, b := range bounds {
		seconds[i] = float64(b) / float64(time.Second)
	}
	return seconds
}
