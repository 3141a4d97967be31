package sidecar

import (
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// serveMetrics serves the metrics of calls, of the Go runtime and of the process. It
// returns nil if the address is nil.
func (p *policy) serveMetrics(address *net.TCPAddr) (*scrape.Server, error) {
	return scrape.Process(address, func(reg prometheus.Registerer) error {
		return reg.Register(metricsprom.NewServerCollector(p.calls))
	})
}
