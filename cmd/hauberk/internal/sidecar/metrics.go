package sidecar

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// serveMetrics serves the metrics of calls, of the Go runtime and of the process. It
// returns nil if the address is nil.
func (p *policy) serveMetrics(address *net.TCPAddr) (*scrape.Server, error) {
	if address == nil {
		return nil, nil //nolint:nilnil // the caller checks for nil
	}
	reg := prometheus.NewRegistry()
	err := errors.Join(
		reg.Register(metricsprom.NewServerCollector(p.calls)),
		reg.Register(collectors.NewGoCollector()),
		reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, err
	}
	return scrape.Listen(address, reg)
}
