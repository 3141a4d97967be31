package metricsprom_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// openMetrics returns the families in the OpenMetrics format.
func openMetrics(t testing.TB, families []*dto.MetricFamily) string {
	t.Helper()
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToOpenMetrics(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func byTrace(context.Context, *hauberk.Call) map[string]string {
	return map[string]string{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
}

func TestExemplars(t *testing.T) {
	for name, options := range map[string][]metricsprom.Option{"classic": nil, "native": {metricsprom.WithNative(metricsprom.Native{})}} {
		t.Run(name, func(t *testing.T) {
			clock := hauberktest.NewClock()
			m := metrics.New(metrics.Config{Buckets: []time.Duration{time.Second, 2 * time.Second}},
				metrics.WithClock(clock.Now), metrics.WithExemplars(byTrace))
			c := metricsprom.NewClientCollector(m, options...)
			call(t, "/s/m", nil, m, taking(clock, 1500*time.Millisecond))
			call(t, "/s/m", nil, m, taking(clock, 4*time.Second))
			got := openMetrics(t, gather(t, c))
			for _, want := range []string{
				`grpc_client_handled_total{grpc_code="OK",grpc_method="m",grpc_service="s",grpc_type="unary"} 2.0 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1.0 `,
				`le="2.0"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1.5 `,
				`le="+Inf"} 2 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 4.0 `,
				`le="1.0"} 0` + "\n",
				`grpc_client_started_total{grpc_method="m",grpc_service="s",grpc_type="unary"} 2.0` + "\n",
			} {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
		})
	}
}

// A counter keeps its value if Prometheus rejects its exemplar, here for its timestamp.
func TestRejectedExemplar(t *testing.T) {
	m := metrics.New(metrics.Config{}, metrics.WithExemplars(byTrace),
		metrics.WithClock(func() time.Time { return time.Unix(1<<40, 0) }))
	call(t, "/s/m", nil, m)
	for _, f := range metricsOf(t, m) {
		if f.GetName() == "grpc_client_handled_total" && f.GetMetric()[0].GetCounter().GetValue() != 1 {
			t.Errorf("%v", f)
		}
	}
}

// metricsOf returns the families of both sides.
func metricsOf(t testing.TB, m *metrics.Interceptor) []*dto.MetricFamily {
	t.Helper()
	return gather(t, bothSides(m)...)
}
