package otelenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// environ sets OTEL_ variables, NAME=VALUE, and clears all others.
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

func TestEnabled(t *testing.T) {
	both, traces, metrics := signals{true, true}, signals{traces: true}, signals{metrics: true}
	tests := []struct {
		env  []string
		want signals
	}{
		{nil, signals{}},
		{[]string{"OTEL_SERVICE_NAME=shop", "OTEL_TRACES_SAMPLER=always_on", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, signals{}},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"}, both},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://localhost:4318"}, traces},
		{[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://localhost:4318"}, metrics},
		{[]string{"OTEL_TRACES_EXPORTER=console"}, traces},
		{[]string{"OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"}, metrics},
		{[]string{"OTEL_METRICS_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"}, traces},
		{[]string{"OTEL_METRICS_EXPORTER=prometheus"}, metrics},
		{[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_SDK_DISABLED=true"}, signals{}},
		{[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_SDK_DISABLED=TRUE"}, signals{}},
		{[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_SDK_DISABLED=false"}, traces},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.env, " "), func(t *testing.T) {
			environ(t, test.env...)
			if got := enabled(); got != test.want {
				t.Errorf("asked for %+v; want %+v", got, test.want)
			}
		})
	}
}

func TestWrongValues(t *testing.T) {
	const traces, metrics = "OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=otlp"
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		env  []string
		want string
	}{
		{[]string{"OTEL_SDK_DISABLED=yes"}, `OTEL_SDK_DISABLED is "yes"; want true or false`},
		{[]string{"OTEL_TRACES_EXPORTER=zipkin"}, `OTEL_TRACES_EXPORTER is "zipkin"; want one of otlp, console, none`},
		{[]string{"OTEL_TRACES_EXPORTER= otlp"}, `OTEL_TRACES_EXPORTER is " otlp"; want one of otlp, console, none`},
		{
			[]string{"OTEL_METRICS_EXPORTER=statsd"},
			`OTEL_METRICS_EXPORTER is "statsd"; want one of otlp, prometheus, console, none`,
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json"},
			`OTEL_EXPORTER_OTLP_PROTOCOL is "http/json"; want one of grpc, http/protobuf`,
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=tcp"},
			`OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "tcp"; want one of grpc, http/protobuf`,
		},
		{
			[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=localhost:4317"},
			`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is "localhost:4317"; want a URL such as http://localhost:4317`,
		},
		{
			[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://"},
			`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is "http://"; want a URL such as http://localhost:4317`,
		},
		{
			[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://[::1"},
			`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT is "http://[::1"; want a URL such as http://localhost:4317`,
		},
		{
			[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://me:canary@localhost"},
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has a user or a password; want a URL such as http://localhost:4317," +
				" and secrets in OTEL_EXPORTER_OTLP_HEADERS",
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_ENDPOINT=unix:///run/otlp.sock", "OTEL_METRICS_EXPORTER=none"},
			`OTEL_EXPORTER_OTLP_ENDPOINT is "unix:///run/otlp.sock"; want OTEL_EXPORTER_OTLP_PROTOCOL=grpc with it`,
		},
		{
			[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://localhost", "OTEL_EXPORTER_OTLP_INSECURE=true"},
			"OTEL_EXPORTER_OTLP_INSECURE is true, and OTEL_EXPORTER_OTLP_ENDPOINT begins with https; want one of them",
		},
		{
			[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://localhost", "OTEL_EXPORTER_OTLP_METRICS_INSECURE=False"},
			"OTEL_EXPORTER_OTLP_INSECURE is False, and OTEL_EXPORTER_OTLP_ENDPOINT begins with http; want one of them",
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_HEADERS=a=b,canary"},
			"OTEL_EXPORTER_OTLP_HEADERS is wrong at entry 2; want name=value,name=value with values percent-encoded",
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_TRACES_HEADERS=a b=canary"},
			"OTEL_EXPORTER_OTLP_TRACES_HEADERS is wrong at entry 1; want name=value,name=value with values percent-encoded",
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_HEADERS=a=canary%zz"},
			"OTEL_EXPORTER_OTLP_HEADERS is wrong at entry 1; want name=value,name=value with values percent-encoded",
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_TIMEOUT=10s"},
			`OTEL_EXPORTER_OTLP_TIMEOUT is "10s"; want milliseconds, from 1 to 86400000`,
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_COMPRESSION=zstd"},
			`OTEL_EXPORTER_OTLP_COMPRESSION is "zstd"; want one of gzip, none`,
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_CERTIFICATE=" + empty},
			`OTEL_EXPORTER_OTLP_CERTIFICATE is "` + empty + `", which has no certificate; want a file of certificates in PEM`,
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere"},
			"OTEL_EXPORTER_OTLP_CERTIFICATE cannot be read: open /nowhere: no such file or directory;" +
				" want a file of certificates in PEM",
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_CLIENT_KEY=" + empty},
			"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY must be set together; want both or none",
		},
		{
			[]string{traces, "OTEL_EXPORTER_OTLP_CLIENT_KEY=" + empty, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=" + empty},
			"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY cannot be used: " +
				"tls: failed to find any PEM data in certificate input",
		},
		{
			[]string{traces, "OTEL_TRACES_SAMPLER=sometimes"},
			`OTEL_TRACES_SAMPLER is "sometimes"; want one of always_on, always_off, traceidratio,` +
				" parentbased_always_on, parentbased_always_off, parentbased_traceidratio",
		},
		{
			[]string{traces, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=10%"},
			`OTEL_TRACES_SAMPLER_ARG is "10%"; want a number from 0 to 1`,
		},
		{
			[]string{traces, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=NaN"},
			`OTEL_TRACES_SAMPLER_ARG is "NaN"; want a number from 0 to 1`,
		},
		{
			[]string{traces, "OTEL_PROPAGATORS=tracecontext, baggage"},
			`OTEL_PROPAGATORS has " baggage"; want a list, with commas and no spaces, of tracecontext, baggage,` +
				" b3, b3multi, jaeger, xray, ottrace, none",
		},
		{
			[]string{traces, "OTEL_RESOURCE_ATTRIBUTES=a=b,c"},
			`OTEL_RESOURCE_ATTRIBUTES has "c"; want name=value,name=value with values percent-encoded`,
		},
		{ // a queue that does not fit in memory
			[]string{traces, "OTEL_BSP_MAX_QUEUE_SIZE=1000000000000000"},
			`OTEL_BSP_MAX_QUEUE_SIZE is "1000000000000000"; want a whole number from 1 to 1000000`,
		},
		{
			[]string{traces, "OTEL_BSP_MAX_QUEUE_SIZE=10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=11"},
			"OTEL_BSP_MAX_EXPORT_BATCH_SIZE is 11; want at most OTEL_BSP_MAX_QUEUE_SIZE, which is 10",
		},
		{
			[]string{traces, "OTEL_SPAN_EVENT_COUNT_LIMIT=-1"},
			`OTEL_SPAN_EVENT_COUNT_LIMIT is "-1"; want a whole number from 0 to 1000000`,
		},
		{
			[]string{metrics, "OTEL_METRIC_EXPORT_INTERVAL=0"},
			`OTEL_METRIC_EXPORT_INTERVAL is "0"; want milliseconds, from 1 to 86400000`,
		},
		{ // the port would be unknown
			[]string{"OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT=0"},
			`OTEL_EXPORTER_PROMETHEUS_PORT is "0"; want a whole number from 1 to 65535`,
		},
		{ // all errors are reported at once
			[]string{traces, "OTEL_BSP_SCHEDULE_DELAY=1s", "OTEL_TRACES_SAMPLER=no", "OTEL_SDK_DISABLED=no"},
			`OTEL_SDK_DISABLED is "no"; want true or false` + "\n" +
				`OTEL_BSP_SCHEDULE_DELAY is "1s"; want milliseconds, from 1 to 86400000` + "\n" +
				`OTEL_TRACES_SAMPLER is "no"; want one of always_on, always_off, traceidratio,` +
				" parentbased_always_on, parentbased_always_off, parentbased_traceidratio",
		},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.env, " "), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			environ(t, test.env...)
			_, err := Open(t.Context(), Service{}, t.Logf)
			if err == nil || lines(err) != test.want {
				t.Errorf("error\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// lines returns the text of an error without the blank lines of empty errors.Join.
func lines(err error) string { return strings.TrimSpace(err.Error()) }

// All variables that the documentation names can be set.
func TestGoodValues(t *testing.T) {
	hauberktest.CheckLeaks(t)
	environ(t,
		"OTEL_SDK_DISABLED=false", "OTEL_SERVICE_NAME=shop", "OTEL_RESOURCE_ATTRIBUTES=a=b%2C, c =d",
		"OTEL_PROPAGATORS=tracecontext,baggage,b3,b3multi,jaeger,xray,ottrace",
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25",
		"OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_BSP_EXPORT_TIMEOUT=100", "OTEL_BSP_MAX_QUEUE_SIZE=100",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=100", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=0", "OTEL_ATTRIBUTE_COUNT_LIMIT=1",
		"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=1000", "OTEL_SPAN_EVENT_COUNT_LIMIT=7", "OTEL_SPAN_LINK_COUNT_LIMIT=7",
		"OTEL_METRICS_EXPORTER=otlp", "OTEL_METRIC_EXPORT_INTERVAL=1000", "OTEL_METRIC_EXPORT_TIMEOUT=1000",
		"OTEL_METRICS_EXEMPLAR_FILTER=always_off", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta",
		"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1/base", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://127.0.0.1:1",
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf",
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20x,b=", "OTEL_EXPORTER_OTLP_TIMEOUT=10",
		"OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_EXPORTER_OTLP_METRICS_INSECURE=true",
	)
	p, err := Open(t.Context(), Service{"hauberk", "1"}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if p.Tracer == nil || p.Meter == nil || p.Propagator == nil {
		t.Errorf("got %+v; want all providers", p)
	}
	end(t, p)
}

// end shuts the providers down without waiting for a collector.
func end(t *testing.T, p *Providers) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_ = p.Shutdown(ctx) // telemetry may be lost here
	if err := p.Shutdown(ctx); err != nil {
		t.Errorf("the second Shutdown: %v", err)
	}
}

// Signals that are off have no provider, and their variables are not checked.
func TestOff(t *testing.T) {
	for _, env := range [][]string{
		nil,
		{"OTEL_TRACES_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=soon"},
		{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=no"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json"},
	} {
		t.Run(strings.Join(env, " "), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			environ(t, env...)
			p, err := Open(t.Context(), Service{}, t.Logf)
			if err != nil || p.Tracer != nil || p.Meter != nil {
				t.Errorf("got %+v, %v; want nothing", p, err)
			}
			if err := p.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The address of the exporter prometheus is reported, and it serves there.
func TestPrometheusAddress(t *testing.T) {
	hauberktest.CheckLeaks(t)
	environ(t, "OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST=127.0.0.1",
		"OTEL_EXPORTER_PROMETHEUS_PORT="+freePort(t))
	var said string
	p, err := Open(t.Context(), Service{}, func(format string, args ...any) { said += fmt.Sprintf(format, args...) })
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, p)
	url, ok := strings.CutPrefix(said, "metrics of OpenTelemetry at ")
	if !ok {
		t.Fatalf("said %q; want the URL of the metrics", said)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "target_info{") {
		t.Errorf("%s: %v; no target_info in\n%s", url, err, body)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return strconv.Itoa(lis.Addr().(*net.TCPAddr).Port)
}

// The default address is the specification's.
func TestPrometheusDefaultAddress(t *testing.T) {
	environ(t)
	if got := prometheusAddress(); got != "localhost:9464" {
		t.Errorf("%s; want localhost:9464", got)
	}
}

// If a collector accepts connections and never responds, spans are dropped, and Shutdown
// returns when its context is done.
func TestSilentCollector(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			environ(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://"+lis.Addr().String(),
				"OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_BSP_MAX_QUEUE_SIZE=10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5")
			p, err := Open(t.Context(), Service{}, t.Logf)
			if err != nil {
				t.Fatal(err)
			}
			tracer := p.Tracer.Tracer("")
			for range 1000 {
				_, span := tracer.Start(t.Context(), "call")
				span.End()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "traces: ") {
				t.Errorf("Shutdown: %v; want that the time for traces is exceeded", err)
			}
		})
	}
}

func TestSamplerAndPropagator(t *testing.T) {
	hauberktest.CheckLeaks(t)
	environ(t, "OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_METRICS_EXPORTER=none",
		"OTEL_TRACES_SAMPLER=always_off", "OTEL_PROPAGATORS=b3")
	p, err := Open(t.Context(), Service{}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, p)
	ctx, span := p.Tracer.Tracer("").Start(t.Context(), "call")
	defer span.End()
	if c := trace.SpanContextFromContext(ctx); c.IsSampled() || !c.IsValid() {
		t.Errorf("span %+v; want a valid one that is not sampled", c)
	}
	headers := propagation.MapCarrier{}
	p.Propagator.Inject(ctx, headers)
	if len(headers) != 1 || headers["b3"] == "" {
		t.Errorf("headers %v; want b3 alone", headers)
	}
}

// The first error is reported, and after it at most one per minute, with the number of
// errors that were not reported.
func TestReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		r := newReporter(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		r.Handle(errors.New("early"))
		if err := r.started(); err == nil || err.Error() != "early" {
			t.Errorf("at the start: %v; want the early error", err)
		}
		for i := range 4 {
			r.Handle(fmt.Errorf("late %d", i))
		}
		time.Sleep(pause) //nolint:forbidigo // of the bubble's clock
		r.logger().Error(errors.New("of the log"), "cannot")
		r.Handle(errors.New("later"))
		const want = "telemetry: late 0\n" +
			`telemetry: "msg"="cannot" "error"="of the log" (3 errors before it were not reported)`
		if got := strings.Join(said, "\n"); got != want {
			t.Errorf("said\n%s\nwant\n%s", got, want)
		}
	})
}

// For all values, Open does not panic, its error contains no secret, and it fails if the
// checks do.
func FuzzValues(f *testing.F) {
	f.Add("http://localhost:4318/x", "authorization=Bearer%20x", "service.version=1,a=b%20c")
	f.Add("unix:///run/x.sock", "a=b,c=d", "=")
	f.Add("https://[::1%25lo]:1", " a =%zz", "a=b=c")
	f.Fuzz(func(t *testing.T, endpoint, headers, resource string) {
		if strings.Contains(endpoint+headers+resource, "\x00") {
			t.Skip("an environment cannot have this")
		}
		const canary = "canary-4711"
		environ(t, "OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=none", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
			"OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_EXPORTER_OTLP_HEADERS="+headers+canary,
			"OTEL_RESOURCE_ATTRIBUTES="+resource)
		wrong := enabled().check()
		p, err := Open(t.Context(), Service{}, t.Logf)
		if err == nil {
			end(t, p)
		}
		if wrong != nil && err == nil {
			t.Errorf("no error; the checks return %v", wrong)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("the error repeats a header: %v", err)
		}
	})
}
