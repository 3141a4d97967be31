package tracing_test

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

func TestConfiguration(t *testing.T) {
	for _, test := range []struct {
		name   string
		config tracing.Config
		option tracing.Option
		want   string
	}{
		{name: "no provider", option: tracing.WithTracerProvider(nil), want: "WithTracerProvider: the provider is nil"},
		{name: "no propagator", option: tracing.WithPropagator(nil), want: "WithPropagator: the propagator is nil"},
		{name: "no clock", option: tracing.WithClock(nil), want: "WithClock: the function is nil"},
		{name: "no function", option: tracing.WithNewTrace(nil), want: "WithNewTrace: the function is nil"},
		{name: "state", config: tracing.Config{MaxTraceState: -1}, want: "MaxTraceState is -1; want 1 to 8192, or 0 for 512"},
		{name: "too much state", config: tracing.Config{MaxTraceState: 8193}, want: "MaxTraceState is 8193"},
		{name: "baggage", config: tracing.Config{MaxBaggageBytes: 9000}, want: "MaxBaggageBytes is 9000; want 1 to 8192"},
		{name: "members", config: tracing.Config{MaxBaggageMembers: 65}, want: "MaxBaggageMembers is 65; want 1 to 64"},
		{name: "methods", config: tracing.Config{MaxMethods: -5}, want: "MaxMethods is -5"},
		{name: "samples", config: tracing.Config{MaxForcedSamples: -1}, want: "MaxForcedSamples is -1"},
		{name: "too many samples", config: tracing.Config{MaxForcedSamples: 1e9}, want: "MaxForcedSamples is 1000000000"},
		{name: "kind", config: tracing.Config{NewTraceKinds: []hauberk.Kind{7}}, want: "NewTraceKinds contains 7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var options []tracing.Option
			if test.option != nil {
				options = append(options, test.option)
			}
			interceptor := tracing.New(test.config, options...)
			for _, x := range []hauberk.Interceptor{interceptor, interceptor.Attempts()} {
				if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v; want one with %q", err, test.want)
				}
			}
		})
	}
	if _, err := hauberk.New(tracing.New(tracing.Config{MaxForcedSamples: 1_000_000})); err != nil {
		t.Error(err)
	}
	if _, err := hauberk.New(new(tracing.Interceptor)); err == nil || !strings.Contains(err.Error(), "tracing.New") {
		t.Errorf("zero Interceptor: error %v", err)
	}
}

// Lint accepts the documented order.
func TestLint(t *testing.T) {
	interceptor := tracing.New(tracing.Config{})
	chain := hauberk.Must(hauberk.New(interceptor, retrying(), interceptor.Attempts()))
	if findings := chain.Lint(hauberk.ClientSide); len(findings) != 0 {
		t.Errorf("findings %v", findings)
	}
}
