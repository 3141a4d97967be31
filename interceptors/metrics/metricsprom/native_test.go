package metricsprom_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// histogramOf returns the one series of a histogram.
func histogramOf(t *testing.T, families []*dto.MetricFamily, name string) *dto.Histogram {
	t.Helper()
	for _, f := range families {
		if f.GetName() == name {
			if len(f.GetMetric()) != 1 {
				t.Fatalf("%d series of %s", len(f.GetMetric()), name)
			}
			return f.GetMetric()[0].GetHistogram()
		}
	}
	t.Fatalf("no %s", name)
	return nil
}

// Native histograms contain the classic buckets too, and both contain every call.
func TestNative(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		clock := hauberktest.NewClock()
		m := metrics.New(metrics.Config{Buckets: []time.Duration{time.Second, 2 * time.Second}}, metrics.WithClock(clock.Now))
		native := bothSides(m, metricsprom.WithNative(metricsprom.Native{BucketFactor: 1.3}))
		for _, took := range []time.Duration{time.Second, 1500 * time.Millisecond, 5 * time.Second} {
			if out := c.Start(t, m, taking(clock, took)).Call(t.Context()); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
		name := "grpc_" + c.Side.String() + "_handling_seconds"
		got, want := histogramOf(t, gather(t, native...), name), histogramOf(t, metricsOf(t, m), name)
		if got.GetSampleCount() != 3 || got.GetSampleSum() != 7.5 || got.GetSchema() != 2 {
			t.Errorf("%v", got)
		}
		if n := occupied(got); n != 3 { // one bucket for each call
			t.Errorf("%d native buckets: %v", n, got)
		}
		for i, b := range want.GetBucket() {
			if g := got.GetBucket()[i]; g.GetUpperBound() != b.GetUpperBound() || g.GetCumulativeCount() != b.GetCumulativeCount() {
				t.Errorf("bucket %v, want %v", g, b)
			}
		}
		if want.GetSchema() != 0 || len(want.GetPositiveSpan()) != 0 || want.GetSampleSum() != 7.5 {
			t.Errorf("classic histogram: %v", want)
		}
	})
}

// occupied returns the number of native buckets that have a call.
func occupied(h *dto.Histogram) (n int) {
	var calls int64
	for _, delta := range h.GetPositiveDelta() {
		calls += delta
		if calls > 0 {
			n++
		}
	}
	return n
}

// A registered method has its native histogram at zero, which differs from a classic one.
func TestNativeAtZero(t *testing.T) {
	m := metrics.New(metrics.Config{})
	m.Register(map[string]grpc.ServiceInfo{"s": {Methods: []grpc.MethodInfo{{Name: "m"}}}})
	h := histogramOf(t, gather(t, metricsprom.NewServerCollector(m, metricsprom.WithNative(metricsprom.Native{}))), "grpc_server_handling_seconds")
	if h.GetSampleCount() != 0 || h.GetSchema() != 3 || h.GetZeroThreshold() != prometheus.DefNativeHistogramZeroThreshold {
		t.Errorf("%v", h)
	}
	checkBounds(t, h)
}

// MaxBuckets bounds the number of buckets.
func TestNativeBuckets(t *testing.T) {
	clock := hauberktest.NewClock()
	m := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now))
	c := metricsprom.NewClientCollector(m, metricsprom.WithNative(metricsprom.Native{MaxBuckets: 10, ZeroThreshold: time.Microsecond}))
	for i := range 100 {
		call(t, "/s/m", nil, m, taking(clock, time.Duration(math.Pow(1.2, float64(i)))*time.Microsecond))
	}
	h := histogramOf(t, gather(t, c), "grpc_client_handling_seconds")
	if n := len(h.GetPositiveDelta()); n > 10 || h.GetSampleCount() != 100 || h.GetZeroCount() == 0 {
		t.Errorf("%d buckets, %d calls, %d at zero", n, h.GetSampleCount(), h.GetZeroCount())
	}
}

func TestNativeErrors(t *testing.T) {
	for want, native := range map[string]metricsprom.Native{
		"BucketFactor is 1; want a number above 1, or 0 for 1.1":   {BucketFactor: 1},
		"BucketFactor is NaN; want a number above 1":               {BucketFactor: math.NaN()},
		"MinReset is -1s and ZeroThreshold is 0s; want 0 or more":  {MinReset: -time.Second},
		"MinReset is 0s and ZeroThreshold is -1ns; want 0 or more": {ZeroThreshold: -1},
	} {
		c := metricsprom.NewClientCollector(metrics.New(metrics.Config{}), metricsprom.WithNative(native))
		if err := prometheus.NewRegistry().Register(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Register: %v, want %q", err, want)
		}
	}
}

func TestWithoutHandlingTimeNorNative(t *testing.T) {
	m := metrics.New(metrics.Config{})
	c := metricsprom.NewClientCollector(m, metricsprom.WithoutHandlingTime(), metricsprom.WithNative(metricsprom.Native{}))
	call(t, "/s/m", nil, m)
	if got := text(t, gather(t, c)); strings.Contains(got, "handling_seconds") {
		t.Error(got)
	}
}

var _ metrics.Recorder = (*recorded)(nil)

// recorded is a Recorder in addition to that of the collector.
type recorded struct{ calls int }

func (r *recorded) Record(time.Duration, map[string]string) { r.calls++ }

// Several exporters of one interceptor are independent.
func TestNativeWithOtherExporters(t *testing.T) {
	m := metrics.New(metrics.Config{})
	var other recorded
	c1 := metricsprom.NewClientCollector(m, metricsprom.WithNative(metricsprom.Native{}))
	m.AddRecorder(func(metrics.Identity) metrics.Recorder { return &other })
	c2 := metricsprom.NewClientCollector(m, metricsprom.WithNative(metricsprom.Native{BucketFactor: 2}))
	call(t, "/s/m", nil, m)
	for _, c := range []*metricsprom.Collector{c1, c2} {
		if h := histogramOf(t, gather(t, c), "grpc_client_handling_seconds"); h.GetSampleCount() != 1 {
			t.Errorf("%v", h)
		}
	}
	if other.calls != 1 {
		t.Errorf("%d calls", other.calls)
	}
}
