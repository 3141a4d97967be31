package metricsotel_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

func TestConfigurationErrors(t *testing.T) {
	tests := []struct {
		name    string
		metrics *metricsotel.Interceptor
		want    string
	}{
		{"zero", new(metricsotel.Interceptor), "make it with metricsotel.New"},
		{"MaxSeries", metricsotel.New(metricsotel.Config{MaxSeries: -1}), "MaxSeries is -1; want a number above 0, or 0 for 1024"},
		{"Enable", metricsotel.New(metricsotel.Config{Enable: []string{"grpc.lb.pick"}}), `Enable contains "grpc.lb.pick", which is not an instrument`},
		{"Disable", metricsotel.New(metricsotel.Config{Disable: []string{""}}), "want names of grpc.server.call.started, "},
		{
			"both", metricsotel.New(metricsotel.Config{
				Enable: []string{metricsotel.ClientCallHedges}, Disable: []string{metricsotel.ClientCallHedges},
			}), "grpc.client.call.hedges is in Enable and in Disable",
		},
		{"WithClock", metricsotel.New(metricsotel.Config{}, metricsotel.WithClock(nil)), "WithClock: the function is nil"},
		{"WithMethodFilter", metricsotel.New(metricsotel.Config{}, metricsotel.WithMethodFilter(nil)), "WithMethodFilter: the function is nil"},
		{"WithGenericMethods", metricsotel.New(metricsotel.Config{}, metricsotel.WithGenericMethods(nil)), "WithGenericMethods: the function"},
		{"WithTargetFilter", metricsotel.New(metricsotel.Config{}, metricsotel.WithTargetFilter(nil)), "WithTargetFilter: the function"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, interceptor := range []hauberk.Interceptor{test.metrics, test.metrics.Calls(), test.metrics.Attempts()} {
				if _, err := hauberk.New(interceptor); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("New: %v; want %q", err, test.want)
				}
			}
		})
	}
}

// A chain with Attempts and without an outer Calls is rejected: attempts would be recorded twice, or
// calls would not be recorded.
func TestPartsBelongTogether(t *testing.T) {
	m, other := metricsotel.New(metricsotel.Config{}), metricsotel.New(metricsotel.Config{})
	for name, interceptors := range map[string][]hauberk.Interceptor{
		"alone":                   {m.Attempts()},
		"with both roles":         {m, m.Attempts()},
		"of another interceptor":  {other.Calls(), m.Attempts()},
		"Calls inside":            {m.Attempts(), m.Calls()},
		"Calls for other methods": {hauberk.For("shop.v1.Cart/*", m.Calls()), m.Attempts()},
	} {
		if _, err := hauberk.New(interceptors...); err == nil || !strings.Contains(err.Error(), "attempts of metricsotel.Interceptor.Calls") {
			t.Errorf("%s: %v", name, err)
		}
	}
	chain := chainOf(t, m.Calls(), retries, m.Attempts())
	if findings := chain.Lint(hauberk.ClientSide); len(findings) > 0 {
		t.Error(findings)
	}
}

// cell is one of the eight combinations of side and kind.
type cell struct{ hauberktest.Case }

// call makes a call like generated code.
func (c cell) call(t testing.TB, env *hauberktest.Env) hauberktest.Outcome {
	t.Helper()
	return env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{request}, grpc.StaticMethod())
}

// once returns the data points of one call of a cell, without sizes.
func (c cell) once(status string) map[string]map[string]string {
	begun, ended := "method="+shortMethod(c.Kind), "method="+shortMethod(c.Kind)+" status="+status
	if c.Side == hauberk.ServerSide {
		return map[string]map[string]string{
			metricsotel.ServerCallStarted: {begun: "1"}, metricsotel.ServerCallDuration: {ended: "1"},
		}
	}
	return map[string]map[string]string{
		metricsotel.ClientAttemptStarted: {begun: "1"}, metricsotel.ClientAttemptDuration: {ended: "1"},
		metricsotel.ClientCallDuration: {ended: "1"},
	}
}

// checkPoints checks all recorded data points.
func checkPoints(t *testing.T, r *recorder, want map[string]map[string]string) {
	t.Helper()
	got := make(map[string]map[string]string)
	for name, i := range r.collect(t) {
		got[name] = i.points
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// One interceptor and a pair of Calls and Attempts record the same for a call with one attempt.
// Without hauberk.Config.CountBytes no sizes are recorded, not even zeros.
func TestMatrix(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for _, parts := range []bool{false, true} {
			provider := newRecorder(t)
			m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
			ended := make(chan struct{}, 1)
			interceptors := []hauberk.Interceptor{signal(ended), m}
			if parts {
				interceptors = []hauberk.Interceptor{signal(ended), m.Calls(), m.Attempts()}
			}
			if out := (cell{c}).call(t, c.Start(t, interceptors...)); out.Err != nil {
				t.Fatal(out.Err)
			}
			<-ended
			checkPoints(t, provider, cell{c}.once("OK"))
		}
	})
}

// No sizes are recorded for a connection that was not made with the chain's options.
func TestSizesOfOtherConnections(t *testing.T) {
	for _, kind := range kindsOr(nil) {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			provider, ended := newRecorder(t), make(chan struct{}, 1)
			m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
			c := cell{hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}}
			env := hauberktest.Start(t, hauberktest.Setup{Kind: kind})
			env.Conn = countingOf(t, signal(ended), m).ClientConn(env.Client)
			if out := c.call(t, env); out.Err != nil {
				t.Fatal(out.Err)
			}
			<-ended
			checkPoints(t, provider, c.once("OK"))
		})
	}
}

// signal is an interceptor that sends to ended at the end of each call.
func signal(ended chan<- struct{}) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		defer func() { ended <- struct{}{} }()
		return next(ctx, call)
	})
}

// Disabled instruments record nothing.
func TestDisabledInstruments(t *testing.T) {
	provider := newRecorder(t)
	m := metricsotel.New(metricsotel.Config{Disable: []string{
		metricsotel.ServerCallStarted, metricsotel.ServerCallSent, metricsotel.ServerCallReceived,
		metricsotel.ClientAttemptDuration, metricsotel.ClientAttemptReceived, metricsotel.ClientCallDuration,
	}}, metricsotel.WithMeterProvider(provider))
	var running sync.WaitGroup
	chain := countingOf(t, ends{&running}, m)
	env := hauberktest.Start(t, hauberktest.Setup{Server: chain, DialOptions: chain.DialOptions()})
	env.Conn = env.Client
	if out := (cell{}).call(t, env); out.Err != nil {
		t.Fatal(out.Err)
	}
	running.Wait()
	checkPoints(t, provider, map[string]map[string]string{
		metricsotel.ServerCallDuration:   {"method=Unary status=OK": "1"},
		metricsotel.ClientAttemptStarted: {"method=Unary": "1"},
		metricsotel.ClientAttemptSent:    {"method=Unary status=OK": "1 sum 7 in [1]"},
	})
}

// Durations are in seconds of the clock and never negative.
func TestDurations(t *testing.T) {
	for _, test := range []struct {
		passes time.Duration
		sum    float64
	}{{1500 * time.Millisecond, 1.5}, {-time.Hour, 0}} {
		clock, provider := hauberktest.NewClock(), newRecorder(t)
		m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider), metricsotel.WithClock(clock.Now))
		call := called(chainOf(t, m), hauberktest.Conn{Outcome: func(string) error {
			clock.Advance(test.passes)
			return nil
		}})
		_ = call("/shop.v1.Cart/Get")
		for _, name := range []string{metricsotel.ClientAttemptDuration, metricsotel.ClientCallDuration} {
			if sum := provider.collect(t)[name].sum; sum != test.sum {
				t.Errorf("%s: %v s, want %v", name, sum, test.sum)
			}
		}
	}
}

// The default provider is the global one.
func TestGlobalProvider(t *testing.T) {
	before, provider := otel.GetMeterProvider(), newRecorder(t)
	otel.SetMeterProvider(provider)
	defer otel.SetMeterProvider(before)
	m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(nil))
	_ = called(chainOf(t, m), hauberktest.Conn{})("/shop.v1.Cart/Get")
	if points := provider.points(t, metricsotel.ClientAttemptStarted); len(points) != 1 {
		t.Errorf("points %v", points)
	}
}

// Attempts records nothing on a server.
func TestAttemptsOnServer(t *testing.T) {
	provider := newRecorder(t)
	m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
	serve := served(chainOf(t, m.Calls(), m.Attempts(), m.Attempts()), hauberk.Bidi, &hauberktest.Backend{})
	if err := serve(); err != nil {
		t.Fatal(err)
	}
	checkPoints(t, provider, cell{hauberktest.Case{Kind: hauberk.Bidi}}.once("OK"))
}
