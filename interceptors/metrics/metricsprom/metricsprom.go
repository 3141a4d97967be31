package metricsprom

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Collector is a prometheus.Collector for one side of a [metrics.Interceptor]. It reads the
// numbers on each scrape, and stores none except the histograms of [WithNative]. Make it
// with [NewServerCollector] or [NewClientCollector]. It is safe for concurrent use.
type Collector struct {
	side           hauberk.Side
	metrics        *metrics.Interceptor
	calls          callDescs
	rejections     rejectionDescs
	decisions      *prometheus.Desc
	err            error
	noHandlingTime bool
	native         *Native
	histogram      *prometheus.HistogramVec // nil without native
}

var errNilMetrics = errors.New("metricsprom: the *metrics.Interceptor is nil; want the result of metrics.New")

// NewServerCollector returns a collector for the calls that m counts on servers. If m is nil
// or an option is invalid, prometheus.Register returns an error for the collector.
func NewServerCollector(m *metrics.Interceptor, opts ...Option) *Collector {
	return newCollector(hauberk.ServerSide, m, opts)
}

// NewClientCollector returns a collector for the calls that m counts on clients. If m is nil
// or an option is invalid, prometheus.Register returns an error for the collector.
func NewClientCollector(m *metrics.Interceptor, opts ...Option) *Collector {
	return newCollector(hauberk.ClientSide, m, opts)
}

func newCollector(side hauberk.Side, m *metrics.Interceptor, opts []Option) *Collector {
	c := &Collector{
		side: side, metrics: m,
		rejections: describeRejections(side), decisions: describeDecisions(side),
	}
	nils := options.Apply(opts, func(o Option) { o.apply(c) })
	c.err = errors.Join(c.err, nils)
	if m == nil {
		c.err = errors.Join(c.err, errNilMetrics)
	}
	if c.err != nil {
		return c
	}
	c.calls = describeCalls(side, m.LabelNames())
	if c.native != nil && !c.noHandlingTime {
		c.recordNative()
	}
	return c
}

// Describe sends the descriptors of the collector's metrics.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	if c.err != nil {
		descs <- prometheus.NewInvalidDesc(c.err)
		return
	}
	c.calls.describe(descs, c.noHandlingTime)
	for _, d := range c.rejections {
		if d != nil {
			descs <- d
		}
	}
	descs <- c.decisions
}

// Collect sends the current values of the collector's metrics.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	if c.err != nil {
		out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(c.err), c.err)
		return
	}
	c.collectSeries(out)
	if c.histogram != nil {
		c.histogram.Collect(out)
	}
	for _, r := range c.metrics.Rejections() {
		if r.Side == c.side {
			c.writeRejection(out, r)
		}
	}
	for _, d := range c.metrics.Decisions() {
		if d.Side == c.side {
			c.writeDecision(out, d)
		}
	}
}

func (c *Collector) collectSeries(out chan<- prometheus.Metric) {
	bounds := inSeconds(c.metrics.Buckets())
	all := c.metrics.Series()
	for i := range all {
		if all[i].Side != c.side {
			continue
		}
		w := writer{out: out, series: &all[i], descs: &c.calls}
		w.write()
		if !c.noHandlingTime && c.native == nil {
			w.writeHandlingTime(bounds)
		}
	}
}
