package sidecar

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// serveMetrics serves the metrics of calls, of the gateway's limits, of the policy file, of the Go runtime and of
// the process. It returns nil if the address is nil.
func (s *sidecar) serveMetrics(address *net.TCPAddr) (*scrape.Server, error) {
	return scrape.Process(address, s.telemetryTLS, func(reg prometheus.Registerer) error {
		calls := prometheus.Collector(current{s.policy})
		if s.policy.file == nil {
			calls = metricsprom.NewServerCollector(s.policy.calls)
		}
		return errors.Join(
			reg.Register(calls), reg.Register(collector{s.gateway.Measurements}),
			reg.Register(collector{s.policy.measurements}),
		)
	})
}

// current collects the metrics of the policy file in force. It describes none, since a reload may change them.
type current struct{ policy *policy }

// Describe sends nothing.
func (current) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics.
func (c current) Collect(to chan<- prometheus.Metric) {
	if calls := c.policy.metrics(); calls != nil {
		metricsprom.NewServerCollector(calls).Collect(to)
	}
}

// collector has the metrics of a gateway or a policy file, as hauberk_<name of the measurement>.
type collector struct{ measurements func() []hauberk.Measurement }

func (c collector) describe(m hauberk.Measurement) *prometheus.Desc {
	var labels []string
	if m.LabelName != "" {
		labels = []string{m.LabelName}
	}
	return prometheus.NewDesc("hauberk_"+m.Name, m.Help, labels, nil)
}

// Describe sends the descriptors of the metrics.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	seen := make(map[string]bool)
	for _, m := range c.measurements() {
		if !seen[m.Name] {
			seen[m.Name] = true
			descs <- c.describe(m)
		}
	}
}

// Collect sends the current values.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.measurements() {
		kind, labels := prometheus.GaugeValue, []string(nil)
		if m.Counter {
			kind = prometheus.CounterValue
		}
		if m.LabelName != "" {
			labels = []string{m.LabelValue}
		}
		out <- prometheus.MustNewConstMetric(c.describe(m), kind, m.Value, labels...)
	}
}
