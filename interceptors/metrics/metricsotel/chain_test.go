package metricsotel_test

import (
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// The interceptors of a chain report their numbers until the registration ends.
func TestObserveChain(t *testing.T) {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	chain := hauberk.Must(hauberk.New(concurrency.New(concurrency.Config{Limit: 3})))
	registration, err := metricsotel.ObserveChain(chain, provider)
	if err != nil {
		t.Fatal(err)
	}
	if err := (hauberktest.Direct{}).Server(chain)(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := observed(t, reader)
	for name, want := range map[string]float64{
		"hauberk.concurrency_running concurrency(everything)":                         0,
		"hauberk.concurrency_admitted_total concurrency(everything)":                  1,
		"hauberk.concurrency_limit concurrency(everything)":                           3,
		"hauberk.concurrency_rejected_total concurrency(everything) CONCURRENCY_FULL": 0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v (%t), want %v; there are %v", name, value, ok, want, got)
		}
	}
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if got := observed(t, reader); len(got) != 0 {
		t.Errorf("after Unregister: %v", got)
	}
}

// observed returns the values by name and attributes.
func observed(t *testing.T, reader sdk.Reader) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			var points []metricdata.DataPoint[float64]
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				points = data.DataPoints
			case metricdata.Sum[float64]:
				points = data.DataPoints
			}
			for _, p := range points {
				name := []string{m.Name}
				for _, a := range p.Attributes.ToSlice() { // in the order of their keys
					name = append(name, a.Value.AsString())
				}
				got[strings.Join(name, " ")] = p.Value
			}
		}
	}
	return got
}

func TestObserveNilChain(t *testing.T) {
	if _, err := metricsotel.ObserveChain(nil, nil); err == nil || !strings.Contains(err.Error(), "the *hauberk.Chain is nil") {
		t.Error(err)
	}
}
