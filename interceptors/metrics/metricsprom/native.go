package metricsprom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// newHistogram returns the latency histogram of one side.
func (n Native) newHistogram(m *metrics.Interceptor, side hauberk.Side) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                            handlingName(side),
		Help:                            handlingHelp(side),
		Buckets:                         inSeconds(m.Buckets()),
		NativeHistogramBucketFactor:     n.BucketFactor,
		NativeHistogramMaxBucketNumber:  n.MaxBuckets,
		NativeHistogramMinResetDuration: n.MinReset,
		NativeHistogramZeroThreshold:    n.ZeroThreshold.Seconds(),
	}, seriesLabels(m.LabelNames()))
}

// recordNative makes the histogram and records the latencies of the side's calls in it.
func (c *Collector) recordNative() {
	c.histogram = c.native.newHistogram(c.metrics, c.side)
	c.metrics.AddRecorder(func(id metrics.Identity) metrics.Recorder {
		if id.Side != c.side {
			return nil
		}
		return recorder{c.histogram.WithLabelValues(labelsOf(&id)...).(prometheus.ExemplarObserver)}
	})
}

// recorder records latencies in a histogram.
type recorder struct{ histogram prometheus.ExemplarObserver }

func (r recorder) Record(took time.Duration, exemplar map[string]string) {
	r.histogram.ObserveWithExemplar(seconds(took), exemplar)
}
