package ratelimitservice

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// serveMetrics serves the metrics of limits, of calls, of the Go runtime and of the process. It
// returns nil if the address is nil.
func (s *service) serveMetrics(address *net.TCPAddr) (*scrape.Server, error) {
	return scrape.Process(address, s.telemetryTLS, func(reg prometheus.Registerer) error {
		return errors.Join(
			reg.Register(newCollector(s.limits.Snapshot)), reg.Register(metricsprom.NewServerCollector(s.calls)))
	})
}

// collector has the metrics of a rate limit server.
type collector struct {
	snapshot                                  func() rlsserver.Snapshot
	decisions, keys, evicted, unknown, failed *prometheus.Desc
}

func newCollector(snapshot func() rlsserver.Snapshot) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("hauberk_ratelimit_service_"+name, help, labels, nil)
	}
	return &collector{
		snapshot: snapshot,
		decisions: desc("decisions_total", "Decisions on descriptors, by limit: ok, over_limit or shadow_over_limit.",
			"domain", "descriptor", "decision"),
		keys: desc("keys", "Quotas in memory, by limit.", "domain", "descriptor"),
		evicted: desc("evicted_total", "Quotas that were evicted since there were too many, by limit.",
			"domain", "descriptor"),
		unknown: desc("unknown_descriptors_total", "Descriptors without a limit."),
		failed: desc("failed_requests_total", "Requests that ended with an error, by kind: malformed or other.",
			"kind"),
	}
}

// Describe sends the descriptions of the metrics.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.decisions, c.keys, c.evicted, c.unknown, c.failed} {
		to <- d
	}
}

// Collect sends the metrics.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	s := c.snapshot()
	for i := range s.Limits {
		l := &s.Limits[i]
		counter(c.decisions, l.OK, l.Domain, l.Descriptor, "ok")
		counter(c.decisions, l.OverLimit, l.Domain, l.Descriptor, "over_limit")
		counter(c.decisions, l.ShadowOverLimit, l.Domain, l.Descriptor, "shadow_over_limit")
		counter(c.evicted, l.Evicted, l.Domain, l.Descriptor)
		to <- prometheus.MustNewConstMetric(c.keys, prometheus.GaugeValue, float64(l.Keys), l.Domain, l.Descriptor)
	}
	counter(c.unknown, s.Unknown)
	counter(c.failed, s.Malformed, "malformed")
	counter(c.failed, s.Failed, "other")
}
