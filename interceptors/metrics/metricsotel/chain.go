package metricsotel

import (
	"cmp"
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/hauberk-rpc/hauberk"
)

// ObserveChain reports the interceptors of a chain that measure themselves ([hauberk.Measured]), such as
// limits, breakers and the stores of shared quotas. The instruments are called hauberk.<name of the
// measurement>, such as hauberk.concurrency_running, and have the attribute "interceptor" with the
// name in the chain. They are read when the provider collects. If provider is nil, it is
// otel.GetMeterProvider(). Unregister the result when the chain is no longer used.
func ObserveChain(chain *hauberk.Chain, provider metric.MeterProvider) (metric.Registration, error) {
	if chain == nil {
		return nil, errors.New("metricsotel: the *hauberk.Chain is nil; want the result of hauberk.New")
	}
	meter := cmp.Or(provider, otel.GetMeterProvider()).Meter(ScopeName)
	instruments := make(map[string]metric.Float64Observable)
	var list []metric.Observable
	for _, m := range chain.Measurements() {
		if instruments[m.Name] != nil {
			continue
		}
		instrument, err := observable(meter, &m)
		if err != nil {
			return nil, err
		}
		instruments[m.Name] = instrument
		list = append(list, instrument)
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for interceptor, m := range chain.Measurements() {
			attributes := []attribute.KeyValue{attribute.String("interceptor", interceptor)}
			if m.LabelName != "" {
				attributes = append(attributes, attribute.String(m.LabelName, m.LabelValue))
			}
			if instrument := instruments[m.Name]; instrument != nil {
				o.ObserveFloat64(instrument, m.Value, metric.WithAttributes(attributes...))
			}
		}
		return nil
	}, list...)
}

func observable(meter metric.Meter, m *hauberk.Measurement) (metric.Float64Observable, error) {
	if m.Counter {
		return meter.Float64ObservableCounter("hauberk."+m.Name, metric.WithDescription(m.Help))
	}
	return meter.Float64ObservableGauge("hauberk."+m.Name, metric.WithDescription(m.Help))
}
