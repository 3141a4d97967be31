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

// DefaultBuckets returns the default of [Config.Buckets]: 5 ms, 10 ms, 25 ms, 50 ms
// and so on to 10 s, the default buckets of Prometheus' client library and so of
// go-grpc-middleware.
func DefaultBuckets() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{
		5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
		1000 * ms, 2500 * ms, 5000 * ms, 10000 * ms,
	}
}

// Config says what is kept of calls. The zero value is ready for use.
type Config struct {
	// Buckets are the upper bounds of the latency histogram that exporters show,
	// each inclusive, in ascending order. Quantiles in a Snapshot do not depend on
	// them. The default is DefaultBuckets.
	Buckets []time.Duration
	// MaxMethods is how many methods a client takes up before it counts further
	// ones together, as Other. The default is DefaultMaxMethods.
	MaxMethods int
	// MaxReasons is how many pairs of interceptor and reason are told apart among
	// the rejections of each side and origin before further ones count together, as
	// Other, and how many interceptors among the decisions. The default is
	// DefaultMaxReasons.
	MaxReasons int
	// MaxLabelSets is how many combinations of the values of the labels ([WithLabel])
	// are told apart on each side before calls with further ones count together, with
	// Other as the value of each label. The default is DefaultMaxLabelSets.
	MaxLabelSets int
	// MaxLabelSeries is how many series the labels may make on each side, in all
	// methods, before further ones count together in the same way, one for each
	// method. The default is DefaultMaxLabelSeries.
	MaxLabelSeries int
	// ExactMessages makes the messages received by unary calls that fail on a server
	// exact, at the price of one allocation for each unary call on a server. See the
	// package's documentation for what is counted without.
	ExactMessages bool
	// Decisions counts every verdict of every interceptor that decides; without it only
	// rejections are counted. A call then costs the allocations of
	// [hauberk.Call.Decisions].
	Decisions bool
	// WireSizes counts the bytes of messages, before and after compression. The chain
	// must have [hauberk.WireSizes] for that; calls that it has not measured are
	// counted as such ([Bytes.Unmeasured]). On a server it costs a call an allocation
	// or two beside those of hauberk.WireSizes.
	CountBytes bool
}

// withDefaults fills what is not set, and says what is wrong. What it returns can
// be used in any case.
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
			return fmt.Errorf("bucket %d of Buckets ends at %v; want durations above 0", i+1, b)
		case i > 0 && b <= buckets[i-1]:
			return fmt.Errorf("bucket %d of Buckets ends at %v, not above the %v before it; want ascending bounds",
				i+1, b, buckets[i-1])
		}
	}
	return nil
}
