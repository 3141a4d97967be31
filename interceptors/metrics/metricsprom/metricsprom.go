package metricsprom

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Collector is a prometheus.Collector over a [metrics.Interceptor]. It reads the
// numbers when it is asked for them, and keeps none but those of [WithNative].
// Make it with [New]. It is safe for concurrent use.
type Collector struct {
	metrics         *metrics.Interceptor
	sides           [2]sideDescs // by hauberk.Side
	rejected        [metrics.Remote + 1]*prometheus.Desc
	decided         *prometheus.Desc
	err             error
	noHandlingTimes bool
	native          *Native
	histograms      [2]*prometheus.HistogramVec // by hauberk.Side; nil without native
}

// Option changes what a [Collector] shows.
type Option interface{ apply(c *Collector) }

type option func(c *Collector)

func (f option) apply(c *Collector) { f(c) }

// WithoutHandlingTime leaves out the histograms, native ones too, which are the
// greater part of the series: 14 of a method where the other metrics have 5 or so.
func WithoutHandlingTime() Option {
	return option(func(c *Collector) { c.noHandlingTimes = true })
}

var errNilMetrics = errors.New("metricsprom: New was given a nil *metrics.Interceptor; want one of metrics.New")

// New returns a collector that shows what m has counted, for prometheus.Register.
// Registering one of a nil m, or of options that are wrong, is an error.
func New(m *metrics.Interceptor, opts ...Option) *Collector {
	c := &Collector{metrics: m, rejected: describeRejections(), decided: describeDecisions()}
	nils := options.Apply(opts, func(o Option) { o.apply(c) })
	c.err = errors.Join(c.err, nils)
	if m == nil {
		c.err = errors.Join(c.err, errNilMetrics)
	}
	if c.err != nil {
		return c
	}
	for side := range c.sides {
		c.sides[side] = describeSide(hauberk.Side(side), m.LabelNames())
	}
	if c.native != nil && !c.noHandlingTimes {
		c.recordNative(m)
	}
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
	for _, d := range c.rejected {
		descs <- d
	}
	descs <- c.decided
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
		if !c.noHandlingTimes && c.native == nil {
			w.writeHandlingTime(bounds)
		}
	}
	c.collectHistograms(out)
	for _, r := range c.metrics.Rejections() {
		c.writeRejection(out, r)
	}
	for _, d := range c.metrics.Decisions() {
		c.writeDecision(out, d)
	}
}

func (c *Collector) collectHistograms(out chan<- prometheus.Metric) {
	for _, h := range c.histograms {
		if h != nil {
			h.Collect(out)
		}
	}
}
