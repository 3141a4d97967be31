package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	prom "github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// promIntended are the differences between go-grpc-middleware's Prometheus provider
// and ours, each as a pattern for "scenario | kind | series | theirs | ours".
// Package metricsprom documents them.
var promIntended = []promDifference{
	{
		like(`.* \| HELP (shop_cart_)?grpc_\w+ \| .+ \| .+`),
		"the texts are each project's own",
	},
	{
		like(`.* \| (shop_cart_)?grpc_(server|client)_in_flight\{.*\} \| none \| 0`),
		"they have no gauge of calls that are running",
	},
	{
		like(`.* \| (shop_cart_)?grpc_(server|client)_msg_(sent|received)_total\{.*\} \| none \| 0`),
		"what has not been sent or received is no series of theirs, and 0 here",
	},
	{
		like(`rejected on the .* \| (shop_cart_)?hauberk_(remote_)?rejections_total\{.*\} \| none \| 1`),
		"they do not count rejections",
	},
	{
		like(`rejected on the server \| unary \| (shop_cart_)?grpc_server_msg_received_total\{.*\} \| 1 \| 0`),
		"the request of a call that is rejected on its headers is not read here",
	},
	{
		like(`rejected on the client \| unary \| (shop_cart_)?grpc_client_msg_sent_total\{.*\} \| 1 \| 0`),
		"the request of a call that is rejected in its own process is not sent",
	},
	{
		like(`code that gRPC does not define \| .* \| (shop_cart_)?grpc_\w+_handled_total\{(cell="eu1",)?grpc_code="Code\(99\)",.*\} \| 1 \| none`),
		"a peer could make any number of series",
	},
	{
		like(`code that gRPC does not define \| .* \| (shop_cart_)?grpc_\w+_handled_total\{(cell="eu1",)?grpc_code="Unknown",.*\} \| none \| 1`),
		"gRPC maps such codes to UNKNOWN",
	},
	{
		like(`error after a response \| client_stream \| (shop_cart_)?grpc_server_msg_sent_total\{.*\} \| 1 \| 0`),
		"the response is held until the call ends with OK, and this call does not",
	},
	{
		like(`abandoned \| .* \| (shop_cart_)?grpc_client_(handled_total|handling_seconds_(count|sum|bucket))\{.*\} \| none \| (1|0|some time)`),
		"their stream ends only when the application receives an error",
	},
	{
		like(`read on after the end \| .* \| (shop_cart_)?grpc_client_(handled_total|handling_seconds_(count|bucket))\{.*\} \| 3 \| 1`),
		"theirs ends each time the application receives an error",
	},
	{
		like(`unknown method \| .* \| (shop_cart_)?grpc_server_\w+\{(cell="eu1",)?grpc_code="Unimplemented",grpc_method="unknown",.*\} \| none \| 1`),
		"interceptors of grpc-go do not see calls of unknown methods",
	},
	{
		like(`unknown method \| .* \| (shop_cart_)?grpc_server_(started_total|handling_seconds_(count|sum|bucket))` +
			`\{(cell="eu1",)?grpc_method="unknown",grpc_service="unknown",grpc_type="bidi_stream".*\} \| none \| (1|0|some time)`),
		"as before",
	},
	{
		like(`request that cannot be decoded \| unary \| (shop_cart_)?grpc_server_\w+\{.*\} \| none \| (1|0|some time)`),
		"interceptors of grpc-go do not see unary calls before the request is decoded",
	},
}

type promDifference struct {
	pattern *regexp.Regexp
	reason  string
}

func like(pattern string) *regexp.Regexp { return regexp.MustCompile("^" + pattern + "$") }

// exposition contains the value of each series and the type of each metric.
type exposition map[string]string

// someTime replaces values that depend on how long calls take.
const someTime = "some time"

func exposeAll(t *testing.T, g prom.Gatherer) exposition {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(exposition)
	for _, f := range families {
		all["TYPE "+f.GetName()] = f.GetType().String()
		all["HELP "+f.GetName()] = f.GetHelp()
		for _, m := range f.GetMetric() {
			all.add(f.GetName(), m)
		}
	}
	return all
}

func (e exposition) add(name string, m *dto.Metric) {
	labels := make([]string, 0, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	h := m.GetHistogram()
	if h == nil {
		e[fmt.Sprintf("%s{%s}", name, strings.Join(labels, ","))] = fmt.Sprint(m.GetCounter().GetValue() + m.GetGauge().GetValue())
		return
	}
	e[fmt.Sprintf("%s_count{%s}", name, strings.Join(labels, ","))] = fmt.Sprint(h.GetSampleCount())
	e[fmt.Sprintf("%s_sum{%s}", name, strings.Join(labels, ","))] = someTime
	for _, b := range h.GetBucket() {
		value := someTime
		if b.GetUpperBound() >= 3600 { // no call takes that long
			value = fmt.Sprint(b.GetCumulativeCount())
		}
		e[fmt.Sprintf("%s_bucket{%s,le=\"%v\"}", name, strings.Join(labels, ","), b.GetUpperBound())] = value
	}
}

// differences returns how ours differs from theirs. A metric has a type and a help text
// only if it has a series, so that these are compared only if both have them.
func differences(theirs, ours exposition) []string {
	var all []string
	for _, series := range slices.Sorted(maps.Keys(union(theirs, ours))) {
		was, had := theirs[series]
		is, has := ours[series]
		if was == is || (!had || !has) && !strings.Contains(series, "{") {
			continue
		}
		all = append(all, fmt.Sprintf("%s | %s | %s", series, cmp.Or(was, "none"), cmp.Or(is, "none")))
	}
	return all
}

func union(a, b exposition) exposition {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// TestPrometheusAsTheirs makes the same calls through go-grpc-middleware's Prometheus
// provider and through ours, and compares the series that they expose.
func TestPrometheusAsTheirs(t *testing.T) {
	occurred := make(map[*regexp.Regexp]bool)
	for name, set := range map[string]promSetup{
		"default": {}, "buckets": {buckets: []float64{1e-9, 3600, 7200}}, "labels": {tenant: true}, "prefixed": {prefixed: true},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			for _, s := range promScenarios {
				s.compare(t, set, occurred)
			}
		})
	}
	for _, d := range promIntended {
		if !occurred[d.pattern] {
			t.Errorf("no difference matches %s: %s", d.pattern, d.reason)
		}
	}
}

// compare makes the call of a scenario with both, for each kind.
func (s promScenario) compare(t *testing.T, set promSetup, occurred map[*regexp.Regexp]bool) {
	t.Helper()
	kinds := s.kinds
	if kinds == nil {
		kinds = everyKind
	}
	for _, kind := range kinds {
		for _, d := range differences(exposed(t, promTheirs, s, kind, set), exposed(t, promOurs, s, kind, set)) {
			checkIntended(t, fmt.Sprintf("%s | %s | %s", s.name, kind, d), occurred)
		}
	}
}

func checkIntended(t *testing.T, difference string, occurred map[*regexp.Regexp]bool) {
	t.Helper()
	for _, d := range promIntended {
		if d.pattern.MatchString(difference) {
			occurred[d.pattern] = true
			return
		}
	}
	t.Errorf("a difference that is not intended: %s", difference)
}

// TestPrometheusAtZero compares what both expose before the first call, after their
// methods are registered.
func TestPrometheusAtZero(t *testing.T) {
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})

	theirs := prometheus.NewServerMetrics(prometheus.WithServerHandlingTimeHistogram())
	theirs.InitializeMetrics(srv)
	ours := metrics.New(metrics.Config{})
	ours.Register(srv.GetServiceInfo())

	registries := [2]*prom.Registry{prom.NewRegistry(), prom.NewRegistry()}
	registries[0].MustRegister(theirs)
	registries[1].MustRegister(metricsprom.NewServerCollector(ours))
	before := exposeAll(t, registries[0])
	if want := 4*(3+17+2+len(prom.DefBuckets)) + 2*5; len(before) != want { // of 4 methods and 5 metrics
		t.Errorf("theirs exposes %d lines, want %d", len(before), want)
	}
	occurred := make(map[*regexp.Regexp]bool)
	for _, d := range differences(before, exposeAll(t, registries[1])) {
		checkIntended(t, "at zero | any | "+d, occurred)
	}
	if len(occurred) != 2 { // the gauge, and the help
		t.Errorf("matched: %v", occurred)
	}
}

// TestPrometheusChoices compares what both optionally expose: exemplars, and native
// histograms in addition to the buckets.
func TestPrometheusChoices(t *testing.T) {
	trace := prom.Labels{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
	hour := []float64{3600}

	theirs := prometheus.NewServerMetrics(prometheus.WithServerHandlingTimeHistogram(
		prometheus.WithHistogramOpts(&prom.HistogramOpts{
			Buckets: hour, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		})))
	interceptor := theirs.UnaryServerInterceptor(prometheus.WithExemplarFromContext(func(context.Context) prom.Labels { return trace }))

	ours := metrics.New(metrics.Config{Buckets: []time.Duration{time.Hour}},
		metrics.WithExemplars(func(context.Context, *hauberk.Call) map[string]string { return trace }))
	collector := metricsprom.NewServerCollector(ours, metricsprom.WithNative(metricsprom.Native{}))
	chain := hauberk.Must(hauberk.New(ours)).UnaryServerInterceptor()

	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	handler := func(context.Context, any) (any, error) { return "response", nil }
	for _, serve := range []grpc.UnaryServerInterceptor{interceptor, chain} {
		if _, err := serve(t.Context(), "request", info, handler); err != nil {
			t.Fatal(err)
		}
	}
	was, is := choicesOf(t, theirs), choicesOf(t, collector)
	want := `handled 1 trace_id="4bf92f3577b34da6a3ce929d0e0e4736"; bucket 3600 trace_id="4bf92f3577b34da6a3ce929d0e0e4736"; ` +
		`schema 3, zero up to 2.938735877055719e-39, native buckets true`
	if was != want || is != want {
		t.Errorf("theirs: %s\nours:   %s\nwant:   %s", was, is, want)
	}
}

// choicesOf returns the optional data of the handled calls and of the histogram of a
// collector.
func choicesOf(t *testing.T, c prom.Collector) string {
	t.Helper()
	registry := prom.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var handled, handling string
	for _, f := range families {
		m := f.GetMetric()[0]
		switch f.GetName() {
		case "grpc_server_handled_total":
			e := m.GetCounter().GetExemplar()
			handled = fmt.Sprintf("handled %v %s", e.GetValue(), exemplarLabels(e))
		case "grpc_server_handling_seconds":
			h := m.GetHistogram()
			b := h.GetBucket()[0]
			handling = fmt.Sprintf("bucket %v %s; schema %d, zero up to %v, native buckets %v", b.GetUpperBound(),
				exemplarLabels(b.GetExemplar()), h.GetSchema(), h.GetZeroThreshold(), len(h.GetPositiveSpan()) > 0)
		}
	}
	return handled + "; " + handling
}

func exemplarLabels(e *dto.Exemplar) string {
	var all []string
	for _, l := range e.GetLabel() {
		all = append(all, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	return strings.Join(all, ",")
}
