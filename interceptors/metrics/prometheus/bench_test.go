package metricsprom_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	metricsprom "github.com/hauberk-rpc/hauberk/interceptors/metrics/prometheus"
)

// BenchmarkScrape gathers 100 methods; what it is compared with is the same
// without histograms, which are the greater part.
func BenchmarkScrape(b *testing.B) {
	m := metrics.New(metrics.Config{})
	for i := range 100 {
		call(b, fmt.Sprintf("/shop.v1.Cart/Get%d", i), nil, m)
	}
	for name, options := range map[string][]metricsprom.Option{
		"histograms":    nil,
		"no-histograms": {metricsprom.WithoutHandlingTime()},
	} {
		b.Run(name, func(b *testing.B) {
			registry := prometheus.NewRegistry()
			registry.MustRegister(metricsprom.New(m, options...))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := registry.Gather(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
