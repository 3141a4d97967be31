package metricsprom_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// conn is a connection whose unary calls end immediately.
type conn struct {
	grpc.ClientConnInterface

	outcome error
}

func (c conn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return c.outcome }

// call makes one unary call on a client.
func call(t testing.TB, method string, outcome error, interceptors ...hauberk.Interceptor) {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	_ = chain.ClientConn(conn{outcome: outcome}).Invoke(t.Context(), method, t, t)
}

// bothSides returns the collectors of a server and of a client.
func bothSides(m *metrics.Interceptor, opts ...metricsprom.Option) []prometheus.Collector {
	return []prometheus.Collector{metricsprom.NewServerCollector(m, opts...), metricsprom.NewClientCollector(m, opts...)}
}

// gather returns the families of a registry with the collectors. The registry is pedantic: it
// checks that each collector describes the metrics that it collects.
func gather(t testing.TB, collectors ...prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// text returns the families in the text format.
func text(t testing.TB, families []*dto.MetricFamily) string {
	t.Helper()
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// taking is an interceptor that advances the clock.
func taking(clock *hauberktest.Clock, d time.Duration) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		clock.Advance(d)
		return next(ctx, call)
	})
}

// limiter rejects every call.
type limiter struct{}

func (limiter) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "limits", Decides: true}
}

func (limiter) Intercept(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
	call.Decide(hauberk.Decision{Interceptor: "limits", Verdict: hauberk.Rejected, Reason: "LIMITED"})
	return hauberk.Reject(codes.ResourceExhausted, "LIMITED", "too many")
}

func TestInFlight(t *testing.T) {
	m := metrics.New(metrics.Config{})
	collector := metricsprom.NewClientCollector(m)
	during := ""
	call(t, "/s/m", nil, m, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		during = text(t, gather(t, collector))
		return next(ctx, call)
	}))
	const series = `grpc_client_in_flight{grpc_method="m",grpc_service="s",grpc_type="unary"} `
	if !strings.Contains(during, series+"1\n") {
		t.Errorf("while the call runs:\n%s", during)
	}
	if after := text(t, gather(t, collector)); !strings.Contains(after, series+"0\n") {
		t.Errorf("after the call:\n%s", after)
	}
}

func TestWithoutHandlingTime(t *testing.T) {
	m := metrics.New(metrics.Config{})
	call(t, "/s/m", nil, m)
	with, without := metricsOf(t, m), gather(t, bothSides(m, metricsprom.WithoutHandlingTime())...)
	if len(with) != 6 || len(without) != 5 {
		t.Errorf("%d metrics, %d without the histogram", len(with), len(without))
	}
	if strings.Contains(text(t, without), "handling_seconds") {
		t.Error("the histogram is exported")
	}
}

func TestNilMetrics(t *testing.T) {
	for _, c := range bothSides(nil) {
		err := prometheus.NewRegistry().Register(c)
		if err == nil || !strings.Contains(err.Error(), "*metrics.Interceptor is nil") {
			t.Errorf("Register: %v", err)
		}
		out := make(chan prometheus.Metric, 1)
		c.Collect(out)
		if err := (<-out).Write(new(dto.Metric)); err == nil {
			t.Error("a collector without an interceptor collects a valid metric")
		}
	}
}

// Two collectors of one side share a registry if a constant label distinguishes them.
func TestTwoInstances(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	for _, level := range []string{"call", "attempt"} {
		m := metrics.New(metrics.Config{})
		call(t, "/s/m", nil, m)
		labelled := prometheus.WrapRegistererWith(prometheus.Labels{"level": level}, registry)
		if err := labelled.Register(metricsprom.NewClientCollector(m)); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, families); !strings.Contains(got, `grpc_type="unary",level="attempt"} 1`) {
		t.Error(got)
	}
}

// Scrapes run concurrently with calls.
func TestConcurrentScrapes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	m := metrics.New(metrics.Config{})
	env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.Start(t, m)
	collector := metricsprom.NewServerCollector(m)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 50 {
				if out := env.Call(context.Background(), "a", "b"); out.Err != nil {
					t.Error(out.Err)
				}
			}
		})
	}
	for range 50 {
		gather(t, collector)
	}
	wg.Wait()
	const want = `grpc_server_msg_received_total{grpc_method="Bidi",grpc_service="hauberk.test.v1.TestService",grpc_type="bidi_stream"} 200`
	if got := text(t, gather(t, collector)); !strings.Contains(got, want) {
		t.Errorf("no %s in\n%s", want, got)
	}
}
