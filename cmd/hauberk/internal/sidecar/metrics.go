package sidecar

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// serveMetrics serves the metrics of calls, of the gateway's limits, of the Go runtime and of
// the process. It returns nil if the address is nil.
func (s *sidecar) serveMetrics(address *net.TCPAddr) (*scrape.Server, error) {
	return scrape.Process(address, s.telemetryTLS, func(reg prometheus.Registerer) error {
		return errors.Join(
			reg.Register(metricsprom.NewServerCollector(s.policy.calls)),
			reg.Register(collector{s.gateway}),
		)
	})
}

// collector has the metrics of a gateway, as hauberk_<name of the measurement>.
type collector struct{ gateway *gateway.Gateway }

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
	for _, m := range c.gateway.Measurements() {
		if !seen[m.Name] {
			seen[m.Name] = true
			descs <- c.describe(m)
		}
	}
}

// Collect sends the current values.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.gateway.Measurements() {
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
