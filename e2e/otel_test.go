package e2e_test

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	collmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// collector receives spans and metrics by OTLP, over gRPC and over HTTP.
type collector struct {
	colltrace.UnimplementedTraceServiceServer

	mu      sync.Mutex
	spans   []received
	metrics []string // names
}

// received is a span, and the attributes of the process that sent it.
type received struct {
	*tracepb.Span

	resource map[string]string
}

func (c *collector) Export(_ context.Context, req *colltrace.ExportTraceServiceRequest) (*colltrace.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range req.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans = append(c.spans, received{span, texts(of.GetResource().GetAttributes())})
			}
		}
	}
	return &colltrace.ExportTraceServiceResponse{}, nil
}

// metricsOf implements the metrics service, whose method is named Export too.
type metricsOf struct {
	collmetrics.UnimplementedMetricsServiceServer

	*collector
}

func (m metricsOf) Export(_ context.Context, req *collmetrics.ExportMetricsServiceRequest) (*collmetrics.ExportMetricsServiceResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, of := range req.GetResourceMetrics() {
		for _, scope := range of.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				m.metrics = append(m.metrics, metric.GetName())
			}
		}
	}
	return &collmetrics.ExportMetricsServiceResponse{}, nil
}

func texts(attributes []*commonpb.KeyValue) map[string]string {
	found := make(map[string]string)
	for _, a := range attributes {
		found[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return found
}

// overGRPC serves the collector until the test ends, and returns its URL.
func (c *collector) overGRPC(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	colltrace.RegisterTraceServiceServer(srv, c)
	collmetrics.RegisterMetricsServiceServer(srv, metricsOf{collector: c})
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	return "http://" + lis.Addr().String()
}

// overHTTP serves the collector with protobuf over HTTP/1.1.
func (c *collector) overHTTP(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		req := &colltrace.ExportTraceServiceRequest{}
		if err != nil || proto.Unmarshal(body, req) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = c.Export(r.Context(), req)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func (c *collector) all() []received {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// environ sets OTEL_ variables, NAME=VALUE, for the programs that the test starts. They replace
// the developer's.
func environ(t *testing.T, variables ...string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

// mirror is an upstream that returns the trace headers that it receives.
type mirror struct {
	testgrpc.UnimplementedTestServiceServer
}

var traceHeaders = []string{"traceparent", "tracestate", "baggage", "b3"}

func (mirror) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	back := metadata.MD{}
	for _, name := range traceHeaders {
		back.Append("saw-"+name, md.Get(name)...)
	}
	return &testgrpc.SimpleResponse{}, grpc.SetHeader(ctx, back)
}

func mirrored(t *testing.T) (address string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(srv, mirror{})
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	return lis.Addr().String()
}

// seen makes a call with headers, alternating names and values. It returns the trace headers that
// the upstream received.
func seen(t *testing.T, client testgrpc.TestServiceClient, headers ...string) map[string]string {
	t.Helper()
	var back metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), headers...)
	if _, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Header(&back)); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, name := range traceHeaders {
		if values := back.Get("saw-" + name); len(values) > 0 {
			found[name] = strings.Join(values, "|")
		}
	}
	return found
}

// The trace of the calls of these tests.
const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	callerID    = "b7ad6b7169203331"
	sampled     = "00-" + traceID + "-" + callerID + "-01"
	notSampled  = "00-" + traceID + "-" + callerID + "-00"
	unaryMethod = "grpc.testing.TestService/UnaryCall"
)

// stopped ends the sidecar, which must not return an error. Then everything is exported.
func stopped(t *testing.T, gate *process) {
	t.Helper()
	if err := gate.stop(t); err != nil {
		t.Errorf("the sidecar ended with %v:\n%s", err, &gate.said)
	}
}

// A call has a span. It is a child of the caller's span and the parent of the upstream's, and its
// resource is that of the environment.
func TestSpans(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			c := &collector{}
			url := c.overHTTP(t)
			if protocol == "grpc" {
				url = c.overGRPC(t)
			}
			environ(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+url, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol,
				"OTEL_METRICS_EXPORTER=none", "OTEL_SERVICE_NAME=shop-sidecar",
				"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test,service.name=other")
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			gate, address := sidecar(t, log, mirrored(t))
			client := dial(t, address)
			seen(t, client) // from here on the sidecar knows the method
			saw := seen(t, client, "traceparent", sampled, "tracestate", "shop=1", "baggage", "user=anna")
			stopped(t, gate)

			spans := c.all()
			if len(spans) != 2 {
				t.Fatalf("%d spans, want 2:\n%v\n%s", len(spans), spans, &gate.said)
			}
			span := spans[1]
			checkSpan(t, span)
			id := hex.EncodeToString(span.GetSpanId())
			want := map[string]string{
				"traceparent": "00-" + traceID + "-" + id + "-01", "tracestate": "shop=1", "baggage": "user=anna",
			}
			for name, value := range want {
				if saw[name] != value {
					t.Errorf("the upstream saw %s %q, want %q", name, saw[name], value)
				}
			}
			written, err := os.ReadFile(log.Name())
			if text := `"trace_id":"` + traceID + `","span_id":"` + id + `"`; err != nil || !strings.Contains(string(written), text) {
				t.Errorf("%v; no %s in the log:\n%s", err, text, written)
			}
		})
	}
}

func checkSpan(t *testing.T, span received) {
	t.Helper()
	if span.GetName() != unaryMethod || span.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the span is %q of kind %v, want %s of a server", span.GetName(), span.GetKind(), unaryMethod)
	}
	if trace, parent := hex.EncodeToString(span.GetTraceId()), hex.EncodeToString(span.GetParentSpanId()); trace != traceID || parent != callerID {
		t.Errorf("the span is of trace %s with the parent %s, want %s and %s", trace, parent, traceID, callerID)
	}
	for name, value := range map[string]string{
		"service.name": "shop-sidecar", "deployment.environment.name": "test", "telemetry.sdk.language": "go",
	} {
		if span.resource[name] != value {
			t.Errorf("%s is %q, want %q: %v", name, span.resource[name], value, span.resource)
		}
	}
	if span.resource["service.version"] == "" {
		t.Errorf("no service.version in %v", span.resource)
	}
}

// Samplers decide which spans are exported. The upstream receives the decision in any case.
func TestSamplers(t *testing.T) {
	tests := []struct {
		sampler, arg, parent string
		spans                int
		flags                string
	}{
		{"", "", sampled, 1, "01"},
		{"", "", notSampled, 0, "00"},
		{"", "", "", 1, "01"},
		{"always_on", "", notSampled, 1, "01"},
		{"always_off", "", sampled, 0, "00"},
		{"traceidratio", "0", sampled, 0, "00"},
		{"traceidratio", "1", notSampled, 1, "01"},
		{"parentbased_traceidratio", "0", sampled, 1, "01"},
		{"parentbased_traceidratio", "0", "", 0, "00"},
		{"parentbased_always_off", "", "", 0, "00"},
	}
	for _, test := range tests {
		t.Run(test.sampler+test.arg+test.parent, func(t *testing.T) {
			c := &collector{}
			environ(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+c.overGRPC(t), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
				"OTEL_TRACES_SAMPLER="+test.sampler, "OTEL_TRACES_SAMPLER_ARG="+test.arg)
			gate, address := sidecar(t, io.Discard, mirrored(t))
			var headers []string
			if test.parent != "" {
				headers = []string{"traceparent", test.parent}
			}
			saw := seen(t, dial(t, address), headers...)
			stopped(t, gate)
			if n := len(c.all()); n != test.spans || !strings.HasSuffix(saw["traceparent"], "-"+test.flags) {
				t.Errorf("%d spans, want %d; the upstream saw %q, want flags %s", n, test.spans, saw["traceparent"], test.flags)
			}
		})
	}
}

// OTEL_PROPAGATORS selects the formats of trace context. Headers of other formats pass unchanged.
// Without tracing all of them do.
func TestPropagators(t *testing.T) {
	const b3 = traceID + "-" + callerID + "-1"
	tests := []struct {
		name string
		env  []string
		want map[string]string // a prefix of each
	}{
		{"b3", []string{"OTEL_PROPAGATORS=b3"}, map[string]string{"b3": traceID + "-", "traceparent": sampled}},
		{"none", []string{"OTEL_PROPAGATORS=none"}, map[string]string{"b3": b3, "traceparent": sampled}},
		{"disabled", []string{"OTEL_SDK_DISABLED=true"}, map[string]string{"b3": b3, "traceparent": sampled}},
		{"no exporter", []string{"OTEL_TRACES_EXPORTER=none"}, map[string]string{"b3": b3, "traceparent": sampled}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &collector{}
			environ(t, append(test.env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+c.overHTTP(t))...)
			_, address := sidecar(t, io.Discard, mirrored(t))
			saw := seen(t, dial(t, address), "traceparent", sampled, "b3", b3)
			for name, prefix := range test.want {
				if !strings.HasPrefix(saw[name], prefix) {
					t.Errorf("the upstream saw %s %q, want %q", name, saw[name], prefix)
				}
			}
			if changed := saw["b3"] != b3; changed != (test.name == "b3") {
				t.Errorf("the upstream saw b3 %q of %q", saw["b3"], b3)
			}
		})
	}
}

// Several traceparent headers count as none. Then the upstream receives only the sidecar's trace
// context, not parts of the caller's.
func TestHostileTraceContext(t *testing.T) {
	c := &collector{}
	environ(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+c.overHTTP(t))
	_, address := sidecar(t, io.Discard, mirrored(t))
	client := dial(t, address)
	long := strings.Repeat("k=v,", 2100) + "k=v" // above the 8192 bytes of baggage
	for _, headers := range [][]string{
		{"traceparent", "00-" + strings.Repeat("0", 32) + "-" + callerID + "-01", "tracestate", "lost=1"},
		{"traceparent", "nonsense", "tracestate", "lost=1"},
		{"traceparent", sampled, "traceparent", notSampled},
		{"traceparent", sampled, "tracestate", long},
		{"traceparent", sampled, "baggage", long},
	} {
		saw := seen(t, client, headers...)
		if parts := strings.Split(saw["traceparent"], "-"); len(parts) != 4 || len(parts[1]) != 32 || parts[2] == callerID {
			t.Errorf("%.60q: the upstream saw the traceparent %q", headers, saw["traceparent"])
		}
		if strings.Contains(saw["tracestate"], "lost") || len(saw["tracestate"]) > 512 || len(saw["baggage"]) > 8192 {
			t.Errorf("%.60q: the upstream saw the tracestate %.60q and %d bytes of baggage",
				headers, saw["tracestate"], len(saw["baggage"]))
		}
	}
}

// A collector that does not run or does not answer delays neither calls nor shutdown.
func TestCollectorDown(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		for _, name := range []string{"rejects", "is silent"} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				lis, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer lis.Close()
				if name == "rejects" {
					_ = lis.Close()
				}
				environ(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+lis.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol,
					"OTEL_BSP_MAX_QUEUE_SIZE=10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1")
				gate, address := sidecar(t, io.Discard, mirrored(t), "--drain", "100ms")
				client := dial(t, address)
				for range 200 {
					seen(t, client)
				}
				stopped(t, gate)
				gate.says(t, `^hauberk: stopped; (200) calls, 0 failed$`)
				gate.says(t, `^hauberk: not all pending telemetry was exported: (traces: .*; )?metrics: .*$`)
				for line := range strings.Lines(gate.said.String()) {
					if !strings.HasPrefix(line, "hauberk: ") {
						t.Errorf("the line does not begin with the program's name: %s", line)
					}
				}
			})
		}
	}
}

// The metrics of gRFC A66 are exported by OTLP, at the latest on shutdown.
func TestOTLPMetrics(t *testing.T) {
	c := &collector{}
	environ(t, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="+c.overGRPC(t), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	gate, address := sidecar(t, io.Discard, mirrored(t))
	saw := seen(t, dial(t, address), "traceparent", sampled)
	stopped(t, gate)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, want := range []string{"grpc.server.call.started", "grpc.server.call.duration"} {
		if !slices.Contains(c.metrics, want) {
			t.Errorf("no %s among %v", want, c.metrics)
		}
	}
	if len(c.spans) != 0 || saw["traceparent"] != sampled {
		t.Errorf("%d spans, and the upstream saw %q; want no tracing", len(c.spans), saw["traceparent"])
	}
}

// An invalid value is an error at startup, with exit code 1.
func TestWrongEnvironment(t *testing.T) {
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	environ(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_BSP_MAX_QUEUE_SIZE=many",
		"OTEL_EXPORTER_OTLP_HEADERS=authorization canary")
	gate := start(t, nil, binary, "run", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1")
	err = gate.wait(t)
	if err == nil || err.Error() != "exit status 1" {
		t.Errorf("the sidecar ended with %v, want exit status 1", err)
	}
	gate.says(t, `^hauberk: (OTEL_BSP_MAX_QUEUE_SIZE is "many"; want a whole number from 1 to 1000000)$`)
	gate.says(t, `^hauberk: (OTEL_EXPORTER_OTLP_HEADERS is wrong at entry 1; .*)$`)
	if said := gate.said.String(); strings.Contains(said, "canary") || strings.Contains(said, "listening") {
		t.Errorf("the output is\n%s", said)
	}
}

// --telemetry serves only the metrics and two paths for probes.
func TestTelemetry(t *testing.T) {
	environ(t)
	gate, address := sidecar(t, io.Discard, upstream(t), "--telemetry", "127.0.0.1:0")
	url := gate.says(t, `^hauberk: metrics at (http://127\.0\.0\.1:\d+/metrics)$`)
	client := dial(t, address)
	for range 3 {
		if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	stream := echo(t, client)
	text := fetch(t, url, http.StatusOK)
	for _, want := range []string{
		`grpc_server_handled_total{grpc_code="OK",grpc_method="UnaryCall",grpc_service="grpc.testing.TestService",grpc_type="bidi_stream"} 2`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="unknown",grpc_service="unknown",grpc_type="bidi_stream"} 1`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	fetch(t, strings.TrimSuffix(url, "/metrics")+"/healthz", http.StatusOK)
	fetch(t, strings.TrimSuffix(url, "/metrics")+"/readyz", http.StatusOK)
	fetch(t, strings.TrimSuffix(url, "/metrics")+"/", http.StatusNotFound)
	fetch(t, strings.TrimSuffix(url, "/metrics")+"/debug/pprof/", http.StatusNotFound)
	_ = stream.CloseSend()
	stopped(t, gate)
}

func fetch(t *testing.T, url string, want int) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Errorf("%s: %s, %v; want %d", url, resp.Status, err, want)
	}
	return string(body)
}
