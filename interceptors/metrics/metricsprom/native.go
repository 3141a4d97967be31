package metricsprom

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// Native says how native histograms are made; the fields are those of
// prometheus.HistogramOpts. The zero value is ready for use.
type Native struct {
	// BucketFactor is how much wider each bucket may be than the one before: above
	// 1. The default is 1.1.
	BucketFactor float64
	// MaxBuckets is how many buckets a series may have before its resolution is
	// halved. The default is 160.
	MaxBuckets uint32
	// MinReset is how old a series must be to start again from nothing rather than be
	// halved. With 0, the default, none does.
	MinReset time.Duration
	// ZeroThreshold is up to where a latency counts as zero; the default is Prometheus'
	// 2^-128 s.
	ZeroThreshold time.Duration
}

func (n Native) withDefaults() (Native, error) {
	var err error
	if n.BucketFactor != 0 && !(n.BucketFactor > 1) { // neither is NaN
		err = fmt.Errorf("metricsprom: BucketFactor is %v; want a number above 1, or 0 for 1.1", n.BucketFactor)
	}
	if n.MinReset < 0 || n.ZeroThreshold < 0 {
		err = errors.Join(err, fmt.Errorf("metricsprom: MinReset is %v and ZeroThreshold %v; want no negative time",
			n.MinReset, n.ZeroThreshold))
	}
	if n.BucketFactor == 0 {
		n.BucketFactor = 1.1
	}
	if n.MaxBuckets == 0 {
		n.MaxBuckets = 160
	}
	return n, err
}

// WithNative shows the latency in native histograms of Prometheus beside the
// buckets of [metrics.Config]. Prometheus gets them where it scrapes protobuf; text
// has the buckets alone. They are kept from [New] on: calls that ended before are
// not in them. Each call then takes about 100 ns more.
func WithNative(native Native) Option {
	return option(func(c *Collector) {
		native, err := native.withDefaults()
		c.native, c.err = &native, errors.Join(c.err, err)
	})
}

// histograms makes the histograms of one side.
func (n Native) histograms(m *metrics.Interceptor, side hauberk.Side) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                            "grpc_" + side.String() + "_handling_seconds",
		Help:                            handlingHelp + " on the " + side.String() + ".",
		Buckets:                         inSeconds(m.Buckets()),
		NativeHistogramBucketFactor:     n.BucketFactor,
		NativeHistogramMaxBucketNumber:  n.MaxBuckets,
		NativeHistogramMinResetDuration: n.MinReset,
		NativeHistogramZeroThreshold:    n.ZeroThreshold.Seconds(),
	}, seriesLabels(m.LabelNames()))
}

// recordNative has m tell the histograms of its calls.
func (c *Collector) recordNative(m *metrics.Interceptor) {
	for side := range c.histograms {
		c.histograms[side] = c.native.histograms(m, hauberk.Side(side))
	}
	m.AddRecorder(func(id metrics.Identity) metrics.Recorder {
		return recorder{c.histograms[id.Side].WithLabelValues(labelsOf(&id)...).(prometheus.ExemplarObserver)}
	})
}

// recorder tells a histogram of calls.
type recorder struct{ histogram prometheus.ExemplarObserver }

func (r recorder) Record(took time.Duration, exemplar map[string]string) {
	r.histogram.ObserveWithExemplar(seconds(took), exemplar)
}
