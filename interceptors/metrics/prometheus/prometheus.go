package metricsprom

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// Collector is a prometheus.Collector over a [metrics.Metrics]. It reads the
// numbers when it is asked for them, and keeps none. Make it with [New]. It is safe
// for concurrent use.
type Collector struct {
	metrics         *metrics.Metrics
	sides           [2]sideDescs // by hauberk.Side
	refused         [metrics.Remote + 1]*prometheus.Desc
	err             error
	noHandlingTimes bool
}

// Option changes what a [Collector] shows.
type Option interface{ apply(c *Collector) }

type option func(c *Collector)

func (f option) apply(c *Collector) { f(c) }

// WithoutHandlingTime leaves out the histograms, which are the greater part of the
// series: 14 of a method where the other metrics have 5 or so.
func WithoutHandlingTime() Option {
	return option(func(c *Collector) { c.noHandlingTimes = true })
}

// New returns a collector that shows what m has counted, for prometheus.Register.
// Registering one of a nil m is an error.
func New(m *metrics.Metrics, options ...Option) *Collector {
	c := &Collector{metrics: m}
	if m == nil {
		c.err = errors.New("metricsprom: New was given a nil *metrics.Metrics; want one of metrics.New")
	}
	for _, o := range options {
		o.apply(c)
	}
	c.sides[hauberk.ServerSide] = describeSide(hauberk.ServerSide)
	c.sides[hauberk.ClientSide] = describeSide(hauberk.ClientSide)
	c.refused = describeRefusals()
	return c
}

// Describe tells Prometheus what metrics there are.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	if c.err != nil {
		descs <- prometheus.NewInvalidDesc(c.err)
		return
	}
	for i := range c.sides {
		c.sides[i].describe(descs, c.noHandlingTimes)
	}
	for _, d := range c.refused {
		descs <- d
	}
}

// Collect tells Prometheus the numbers.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	if c.err != nil {
		out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(c.err), c.err)
		return
	}
	bounds := inSeconds(c.metrics.Buckets())
	all := c.metrics.Series()
	for i := range all {
		w := writer{out: out, series: &all[i], descs: &c.sides[all[i].Side]}
		w.write()
		if !c.noHandlingTimes {
			w.writeHandlingTime(bounds)
		}
	}
	for _, r := range c.metrics.Refusals() {
		c.writeRefusal(out, r)
	}
}
