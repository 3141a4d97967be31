package metricsprom

import (
	"errors"
	"fmt"
	"time"
)

// Option configures a [Collector].
type Option interface{ apply(c *Collector) }

type option func(c *Collector)

func (f option) apply(c *Collector) { f(c) }

// WithoutHandlingTime omits the latency histograms, native ones included. The histogram has
// 14 series for each method with the default buckets; the other metrics have about 5.
func WithoutHandlingTime() Option {
	return option(func(c *Collector) { c.noHandlingTime = true })
}

// Native configures native histograms. The fields correspond to those of
// prometheus.HistogramOpts. The zero value is ready for use.
type Native struct {
	// BucketFactor is the maximum growth factor from one bucket to the next, above 1.
	// The default is 1.1.
	BucketFactor float64
	// MaxBuckets is the maximum number of buckets of a series. A series that exceeds it
	// halves its resolution. The default is 160.
	MaxBuckets uint32
	// MinReset is the minimum age at which a series that exceeds MaxBuckets resets to zero
	// instead of halving its resolution. With 0, the default, no series resets.
	MinReset time.Duration
	// ZeroThreshold is the greatest latency that counts as zero. The default is
	// Prometheus' 2^-128 s.
	ZeroThreshold time.Duration
}

func (n Native) withDefaults() (Native, error) {
	var err error
	if n.BucketFactor != 0 && !(n.BucketFactor > 1) { // NaN is not above 1 either
		err = fmt.Errorf("metricsprom: BucketFactor is %v; want a number above 1, or 0 for 1.1", n.BucketFactor)
	}
	if n.MinReset < 0 || n.ZeroThreshold < 0 {
		err = errors.Join(err, fmt.Errorf(
			"metricsprom: MinReset is %v and ZeroThreshold is %v; want 0 or more", n.MinReset, n.ZeroThreshold))
	}
	if n.BucketFactor == 0 {
		n.BucketFactor = 1.1
	}
	if n.MaxBuckets == 0 {
		n.MaxBuckets = 160
	}
	return n, err
}

// WithNative adds Prometheus' native histograms to the latency histograms, in addition to
// the buckets of [metrics.Config]. Prometheus receives them if it scrapes protobuf; the text
// formats contain the buckets only. The histograms contain the calls that end after the
// collector was made. Each call takes about 100 ns longer.
func WithNative(native Native) Option {
	return option(func(c *Collector) {
		native, err := native.withDefaults()
		c.native, c.err = &native, errors.Join(c.err, err)
	})
}
