package metricsprom

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// writer writes the metrics of one series.
type writer struct {
	out    chan<- prometheus.Metric
	series *metrics.Series
	descs  *callDescs
}

// write writes the counters and the gauge.
func (w *writer) write() {
	s, d := w.series, w.descs
	w.counter(d.started, s.Started, nil)
	w.counter(d.received, s.Received, nil)
	w.counter(d.sent, s.Sent, nil)
	for code, n := range s.Handled {
		if n > 0 || s.Registered {
			w.counter(d.handled, n, w.exemplar(code), codes.Code(code).String())
		}
	}
	m, err := prometheus.NewConstMetric(d.inFlight, prometheus.GaugeValue, float64(s.InFlight()), w.labels()...)
	emit(w.out, d.inFlight, m, err)
	if s.Bytes != nil {
		w.writeBytes()
	}
}

func (w *writer) writeBytes() {
	b, d := w.series.Bytes, w.descs
	w.counter(d.sentBytes, b.Sent, nil)
	w.counter(d.sentCompressed, b.SentCompressed, nil)
	w.counter(d.receivedBytes, b.Received, nil)
	w.counter(d.receivedCompressed, b.ReceivedCompressed, nil)
	w.counter(d.unmeasured, b.Unmeasured, nil)
}

// writeHandlingTime writes the latency histogram.
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
	if err == nil {
		m = withExemplars(m, w.examples())
	}
	emit(w.out, d.handling, m, err)
}

// counter writes a counter, with an exemplar if example is not empty. more are the values of
// the labels that only this counter has.
func (w *writer) counter(desc *prometheus.Desc, n uint64, example []prometheus.Exemplar, more ...string) {
	m, err := prometheus.NewConstMetricWithCreatedTimestamp(
		desc, prometheus.CounterValue, float64(n), w.series.Since, w.labels(more...)...)
	if err == nil {
		m = withExemplars(m, example)
	}
	emit(w.out, desc, m, err)
}

// labels returns the label values of the series. more precede the values of the labels that
// metrics.WithLabel added.
func (w *writer) labels(more ...string) []string { return labelsOf(&w.series.Identity, more...) }

func labelsOf(id *metrics.Identity, more ...string) []string {
	return slices.Concat([]string{id.Kind.String(), id.Service, id.Method}, more, id.Labels)
}

func (c *Collector) writeRejection(out chan<- prometheus.Metric, r metrics.Rejection) {
	if r.Origin == metrics.Remote {
		count(out, c.rejections[r.Origin], r.Count, r.Reason)
		return
	}
	count(out, c.rejections[r.Origin], r.Count, r.Interceptor, r.Reason)
}

func (c *Collector) writeDecision(out chan<- prometheus.Metric, d metrics.Decision) {
	mode := "enforced"
	if d.Shadow {
		mode = "shadow"
	}
	count(out, c.decisions, d.Count, d.Interceptor, d.Verdict.String(), mode)
}

func count(out chan<- prometheus.Metric, desc *prometheus.Desc, n uint64, labels ...string) {
	m, err := prometheus.NewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	emit(out, desc, m, err)
}

// emit sends a metric, or an invalid metric that reports err.
func emit(out chan<- prometheus.Metric, desc *prometheus.Desc, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	out <- m
}

// inSeconds returns bounds in seconds: 0.005 for 5 ms.
func inSeconds(bounds []time.Duration) []float64 {
	all := make([]float64, len(bounds))
	for i, b := range bounds {
		all[i] = seconds(b)
	}
	return all
}

func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
