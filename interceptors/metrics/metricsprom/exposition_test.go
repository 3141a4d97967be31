package metricsprom_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

func TestExposition(t *testing.T) {
	clock := hauberktest.NewClock()
	m := metrics.New(metrics.Config{Buckets: []time.Duration{5 * time.Millisecond, 2500 * time.Millisecond}},
		metrics.WithClock(clock.Now))
	remote, err := status.New(codes.NotFound, "no").WithDetails(&errdetails.ErrorInfo{Reason: "GONE"})
	if err != nil {
		t.Fatal(err)
	}
	call(t, "/shop.v1.Cart/Get", nil, m, taking(clock, 5*time.Millisecond))
	call(t, "/shop.v1.Cart/Get", remote.Err(), m, taking(clock, 2*time.Second))
	call(t, "/shop.v1.Cart/Get", nil, m, taking(clock, 3*time.Second))
	call(t, "/shop.v1.Cart/Get", nil, m, limiter{})
	call(t, "/shop.v1.Cart/Put", nil, m, hauberk.Shadow(limiter{}))
	checkText(t, text(t, metricsOf(t, m)), wantClient)
}

const wantClient = `# HELP grpc_client_handled_total Calls completed on the client, by status code.
# TYPE grpc_client_handled_total counter
grpc_client_handled_total{grpc_code="NotFound",grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
grpc_client_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 2
grpc_client_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
grpc_client_handled_total{grpc_code="ResourceExhausted",grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
# HELP grpc_client_handling_seconds Latency of calls on the client, from start to end, in seconds.
# TYPE grpc_client_handling_seconds histogram
grpc_client_handling_seconds_bucket{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",le="0.005"} 2
grpc_client_handling_seconds_bucket{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",le="2.5"} 3
grpc_client_handling_seconds_bucket{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary",le="+Inf"} 4
grpc_client_handling_seconds_sum{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 5.005
grpc_client_handling_seconds_count{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 4
grpc_client_handling_seconds_bucket{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary",le="0.005"} 1
grpc_client_handling_seconds_bucket{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary",le="2.5"} 1
grpc_client_handling_seconds_bucket{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary",le="+Inf"} 1
grpc_client_handling_seconds_sum{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary"} 0
grpc_client_handling_seconds_count{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
# HELP grpc_client_in_flight Calls in flight on the client.
# TYPE grpc_client_in_flight gauge
grpc_client_in_flight{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 0
grpc_client_in_flight{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary"} 0
# HELP grpc_client_msg_received_total Messages received by the client.
# TYPE grpc_client_msg_received_total counter
grpc_client_msg_received_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 2
grpc_client_msg_received_total{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
# HELP grpc_client_msg_sent_total Messages sent by the client.
# TYPE grpc_client_msg_sent_total counter
grpc_client_msg_sent_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 3
grpc_client_msg_sent_total{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
# HELP grpc_client_started_total Calls started on the client.
# TYPE grpc_client_started_total counter
grpc_client_started_total{grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"} 4
grpc_client_started_total{grpc_method="Put",grpc_service="shop.v1.Cart",grpc_type="unary"} 1
# HELP hauberk_rejections_total Calls rejected in this process.
# TYPE hauberk_rejections_total counter
hauberk_rejections_total{interceptor="limits",reason="LIMITED",side="client"} 1
# HELP hauberk_remote_rejections_total Calls on the client that the server rejected with a reason.
# TYPE hauberk_remote_rejections_total counter
hauberk_remote_rejections_total{reason="GONE"} 1
# HELP hauberk_shadow_rejections_total Rejections in this process that were not enforced.
# TYPE hauberk_shadow_rejections_total counter
hauberk_shadow_rejections_total{interceptor="limits",reason="LIMITED",side="client"} 1
`

func checkText(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	have := strings.Split(got, "\n")
	for i, line := range strings.Split(want, "\n") {
		if i >= len(have) || have[i] != line {
			t.Fatalf("line %d is not %q in\n%s", i+1, line, got)
		}
	}
	t.Fatalf("more lines than wanted in\n%s", got)
}

// Before its first call a registered method has all its series at zero, one for each code
// included. The default bounds are those of Prometheus.
func TestRegisteredMethodsAreAtZero(t *testing.T) {
	m := metrics.New(metrics.Config{})
	m.Register(map[string]grpc.ServiceInfo{"shop.v1.Cart": {Methods: []grpc.MethodInfo{{Name: "Watch", IsServerStream: true}}}})
	series := make(map[string]int)
	for _, f := range metricsOf(t, m) {
		for _, s := range f.GetMetric() {
			series[f.GetName()]++
			if s.GetCounter().GetValue() != 0 || s.GetGauge().GetValue() != 0 || s.GetHistogram().GetSampleCount() != 0 {
				t.Errorf("%s is not zero: %v", f.GetName(), s)
			}
			if h := s.GetHistogram(); h != nil {
				checkBounds(t, h)
			}
		}
	}
	want := map[string]int{
		"grpc_server_started_total": 1, "grpc_server_handled_total": 17, "grpc_server_msg_received_total": 1,
		"grpc_server_msg_sent_total": 1, "grpc_server_handling_seconds": 1, "grpc_server_in_flight": 1,
	}
	if fmt.Sprint(series) != fmt.Sprint(want) {
		t.Errorf("series %v, want %v", series, want)
	}
}

func checkBounds(t *testing.T, h *dto.Histogram) {
	t.Helper()
	if len(h.GetBucket()) != len(prometheus.DefBuckets) {
		t.Fatalf("%d buckets", len(h.GetBucket()))
	}
	for i, b := range h.GetBucket() {
		if b.GetUpperBound() != prometheus.DefBuckets[i] {
			t.Errorf("bound %d is %v, want %v", i, b.GetUpperBound(), prometheus.DefBuckets[i])
		}
	}
}

func TestCreatedTimestamps(t *testing.T) {
	clock := hauberktest.NewClock()
	start := clock.Now()
	m := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now))
	call(t, "/s/m", nil, m, taking(clock, time.Hour))
	for _, f := range metricsOf(t, m) {
		for _, s := range f.GetMetric() {
			created := s.GetCounter().GetCreatedTimestamp()
			if f.GetType() == dto.MetricType_HISTOGRAM {
				created = s.GetHistogram().GetCreatedTimestamp()
			}
			if f.GetType() != dto.MetricType_GAUGE && !created.AsTime().Equal(start) {
				t.Errorf("%s was created at %v, want %v", f.GetName(), created.AsTime(), start)
			}
		}
	}
}
