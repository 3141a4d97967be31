package metricsprom_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// BenchmarkScrape gathers 100 methods, with and without histograms.
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
			registry.MustRegister(metricsprom.NewClientCollector(m, options...))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := registry.Gather(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRecord makes calls that end immediately, with classic and with native histograms.
func BenchmarkRecord(b *testing.B) {
	for name, options := range map[string][]metricsprom.Option{
		"classic": nil,
		"native":  {metricsprom.WithNative(metricsprom.Native{})},
	} {
		b.Run(name, func(b *testing.B) {
			m := metrics.New(metrics.Config{})
			metricsprom.NewClientCollector(m, options...)
			through := hauberk.Must(hauberk.New(m)).ClientConn(conn{})
			b.ReportAllocs()
			for b.Loop() {
				if err := through.Invoke(b.Context(), "/s/m", b, b); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
