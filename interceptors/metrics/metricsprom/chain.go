package metricsprom

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
)

// ChainCollector is a prometheus.Collector for the interceptors of a chain that measure themselves
// ([hauberk.Measured]), such as limits, breakers and the stores of shared quotas. It reads the numbers on each
// scrape. Make it with [NewChainCollector]. It is safe for concurrent use.
type ChainCollector struct{ chain *hauberk.Chain }

// NewChainCollector returns a collector for the interceptors of a chain. The metrics are called
// hauberk_<name of the measurement>, such as hauberk_concurrency_running, and have the label
// "interceptor" with the name in the chain. Register the collectors of several chains through
// prometheus.WrapRegistererWith, with a label that distinguishes them. If chain is nil,
// prometheus.Register returns an error for the collector.
func NewChainCollector(chain *hauberk.Chain) *ChainCollector { return &ChainCollector{chain} }

var errNilChain = errors.New("metricsprom: the *hauberk.Chain is nil; want the result of hauberk.New")

// Describe sends the descriptors of the collector's metrics.
func (c *ChainCollector) Describe(descs chan<- *prometheus.Desc) {
	if c.chain == nil {
		descs <- prometheus.NewInvalidDesc(errNilChain)
		return
	}
	seen := make(map[string]bool)
	for _, m := range c.chain.Measurements() {
		if !seen[m.Name] {
			seen[m.Name] = true
			descs <- describeMeasurement(&m)
		}
	}
}

// Collect sends the current values of the collector's metrics.
func (c *ChainCollector) Collect(out chan<- prometheus.Metric) {
	if c.chain == nil {
		out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(errNilChain), errNilChain)
		return
	}
	for interceptor, m := range c.chain.Measurements() {
		kind, labels := prometheus.GaugeValue, []string{interceptor}
		if m.Counter {
			kind = prometheus.CounterValue
		}
		if m.LabelName != "" {
			labels = append(labels, m.LabelValue)
		}
		metric, err := prometheus.NewConstMetric(describeMeasurement(&m), kind, m.Value, labels...)
		if err != nil {
			metric = prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		}
		out <- metric
	}
}

func describeMeasurement(m *hauberk.Measurement) *prometheus.Desc {
	labels := []string{"interceptor"}
	if m.LabelName != "" {
		labels = append(labels, m.LabelName)
	}
	return prometheus.NewDesc("hauberk_"+m.Name, m.Help, labels, nil)
}
