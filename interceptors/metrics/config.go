package metrics

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Defaults of [Config].
const (
	DefaultMaxMethods     = 1024
	DefaultMaxReasons     = 256
	DefaultMaxLabelSets   = 256
	DefaultMaxLabelSeries = 8192
)

// DefaultBuckets returns the default of [Config.Buckets]: 5 ms, 10 ms, 25 ms, 50 ms and so on
// up to 10 s. These are the defaults of Prometheus' client library and of go-grpc-middleware.
func DefaultBuckets() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{
		5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
		1000 * ms, 2500 * ms, 5000 * ms, 10000 * ms,
	}
}

// Config configures an [Interceptor]. The zero value is ready for use.
type Config struct {
	// Buckets are the inclusive upper bounds of the latency histogram for exporters, in
	// ascending order. Quantiles in a Snapshot do not depend on them. The default is
	// DefaultBuckets.
	Buckets []time.Duration
	// MaxMethods is the maximum number of methods of clients. Further methods count as
	// Other. The default is DefaultMaxMethods.
	MaxMethods int
	// MaxReasons is the maximum number of pairs of interceptor and reason for the rejections
	// of each side and origin, and of interceptors for the decisions of each side. Further
	// ones count as Other. The default is DefaultMaxReasons.
	MaxReasons int
	// MaxLabelSets is the maximum number of combinations of label values ([WithLabel]) on
	// each side. In calls with further combinations each label has the value Other. The
	// default is DefaultMaxLabelSets.
	MaxLabelSets int
	// MaxLabelSeries is the maximum number of series with labels on each side, over all
	// methods. Calls beyond it count in one series with the values Other for each method.
	// The default is DefaultMaxLabelSeries.
	MaxLabelSeries int
	// ExactMessages makes the number of messages received by failed unary calls on a server
	// exact. It costs one allocation for each unary call on a server. The package
	// documentation describes what is counted without it.
	ExactMessages bool
	// Decisions counts each decision of each interceptor that decides. Without it only
	// rejections are counted. It costs the allocations of [hauberk.Call.Decisions].
	Decisions bool
	// CountBytes counts the bytes of messages, with and without compression. It requires
	// [hauberk.Config.CountBytes]. [Bytes.Unmeasured] counts the calls whose bytes are
	// not known. On a server it costs one or two allocations per call in addition to those
	// of hauberk.Config.CountBytes.
	CountBytes bool
}

// withDefaults returns the configuration with defaults in place of unset and invalid values,
// and an error for the invalid ones.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	c.MaxMethods, errs = orDefault("MaxMethods", c.MaxMethods, DefaultMaxMethods, errs)
	c.MaxReasons, errs = orDefault("MaxReasons", c.MaxReasons, DefaultMaxReasons, errs)
	c.MaxLabelSets, errs = orDefault("MaxLabelSets", c.MaxLabelSets, DefaultMaxLabelSets, errs)
	c.MaxLabelSeries, errs = orDefault("MaxLabelSeries", c.MaxLabelSeries, DefaultMaxLabelSeries, errs)
	if err := checkBuckets(c.Buckets); err != nil {
		errs = append(errs, err)
		c.Buckets = nil
	}
	if len(c.Buckets) == 0 {
		c.Buckets = DefaultBuckets()
	}
	c.Buckets = slices.Clone(c.Buckets)
	return c, errors.Join(errs...)
}

func orDefault(name string, value, otherwise int, errs []error) (int, []error) {
	if value < 0 {
		errs = append(errs, fmt.Errorf("%s is %d; want a number above 0, or 0 for %d", name, value, otherwise))
	}
	if value <= 0 {
		value = otherwise
	}
	return value, errs
}

func checkBuckets(buckets []time.Duration) error {
	for i, b := range buckets {
		switch {
		case b <= 0:
			return fmt.Errorf("Config.Buckets[%d] is %v; want durations above 0", i, b)
		case i > 0 && b <= buckets[i-1]:
			return fmt.Errorf("Config.Buckets[%d] is %v and Buckets[%d] is %v; want ascending bounds",
				i-1, buckets[i-1], i, b)
		}
	}
	return nil
}
