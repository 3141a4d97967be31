package sidecar

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// serveMetrics serves what was counted, and what Go and the operating system say of
// the process. No address is no server.
func (p *policy) serveMetrics(address *net.TCPAddr) (*scrape.Server, error) {
	if address == nil {
		return nil, nil //nolint:nilnil // no server is a fine one
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
