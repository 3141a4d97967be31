package metricsprom_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// countEverything makes a call through a chain in which both sides reject in shadow and decide.
func countEverything(t *testing.T, server, client *metrics.Interceptor) {
	t.Helper()
	chain := func(m *metrics.Interceptor) *hauberk.Chain {
		return hauberk.Must(hauberk.Config{CountBytes: true}.New(m, hauberk.Shadow(limiter{}), passing{}))
	}
	env := hauberktest.Start(t, hauberktest.Setup{Server: chain(server), DialOptions: chain(client).DialOptions()})
	if out := env.Call(t.Context()); out.Err != nil {
		t.Fatal(out.Err)
	}
	env.Server.GracefulStop()
}

// The collectors of a server and of a client share a registry, whether they belong to one
// interceptor or to two. Issue 10: they panicked.
func TestSidesShareARegistry(t *testing.T) {
	newMetrics := func() *metrics.Interceptor { return metrics.New(metrics.Config{Decisions: true, CountBytes: true}) }
	for name, separate := range map[string]bool{"one interceptor": false, "two interceptors": true} {
		for kind, newRegistry := range map[string]func() *prometheus.Registry{
			"registry": prometheus.NewRegistry, "pedantic registry": prometheus.NewPedanticRegistry,
		} {
			for histograms, opts := range map[string][]metricsprom.Option{
				"classic": nil, "native": {metricsprom.WithNative(metricsprom.Native{})},
			} {
				t.Run(strings.Join([]string{name, kind, histograms}, "/"), func(t *testing.T) {
					server := newMetrics()
					client := server
					if separate {
						client = newMetrics()
					}
					registry := newRegistry()
					registry.MustRegister(metricsprom.NewServerCollector(server, opts...), metricsprom.NewClientCollector(client, opts...))
					countEverything(t, server, client)
					checkBothSides(t, registry)
				})
			}
		}
	}
}

func checkBothSides(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := text(t, families)
	for _, side := range []string{"server", "client"} {
		for _, want := range []string{
			`grpc_` + side + `_handled_total{grpc_code="OK",`,
			`grpc_` + side + `_handling_seconds_count{`,
			`hauberk_` + side + `_sent_bytes_total{`,
			`hauberk_shadow_rejections_total{interceptor="limits",reason="LIMITED",side="` + side + `"} 1`,
			`hauberk_decisions_total{interceptor="passing",mode="enforced",side="` + side + `",verdict="allowed"} 1`,
		} {
			if strings.Count(got, want) != 1 {
				t.Errorf("%d times %s in\n%s", strings.Count(got, want), want, got)
			}
		}
	}
}

// A collector exports one side of an interceptor that counts both.
func TestOneSide(t *testing.T) {
	for _, test := range []struct {
		collector func(*metrics.Interceptor, ...metricsprom.Option) *metricsprom.Collector
		other     string
	}{
		{metricsprom.NewServerCollector, "client"},
		{metricsprom.NewClientCollector, "server"},
	} {
		for _, opts := range [][]metricsprom.Option{nil, {metricsprom.WithNative(metricsprom.Native{})}} {
			m := metrics.New(metrics.Config{Decisions: true, CountBytes: true})
			c := test.collector(m, opts...)
			countEverything(t, m, m)
			if got := text(t, gather(t, c)); strings.Contains(got, test.other) {
				t.Errorf("%s in\n%s", test.other, got)
			}
		}
	}
}

// Two collectors of one side in one registry are an error when the second is registered.
func TestSameSideTwice(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metricsprom.NewServerCollector(metrics.New(metrics.Config{})))
	if err := registry.Register(metricsprom.NewServerCollector(metrics.New(metrics.Config{}))); err == nil {
		t.Error("Register returned no error")
	}
}
