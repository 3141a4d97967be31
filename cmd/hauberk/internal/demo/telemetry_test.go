package demo

import (
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// The metrics are served while the demo runs: all methods from the start, with the value
// 0, and calls and attempts in separate series.
func TestServesMetrics(t *testing.T) {
	st := open(t)
	srv, err := st.serveMetrics(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	const (
		zero     = `grpc_server_handled_total{grpc_code="DataLoss",grpc_method="Chat",grpc_service="shop.v1.Cart",grpc_type="bidi_stream",scope="call"} 0`
		method   = `grpc_method="Get",grpc_service="shop.v1.Cart",grpc_type="unary"`
		calls    = `grpc_client_started_total{` + method + `,scope="call"} 1`
		attempts = `grpc_client_started_total{` + method + `,scope="attempt"} 2`
		failed   = `grpc_client_handled_total{grpc_code="Unavailable",` + method + `,scope="attempt"} 1`
		sent     = `hauberk_client_sent_bytes_total{` + method + `,scope="call"} 7`
		shadow   = `hauberk_shadow_rejections_total{interceptor="planned_cart_limit",reason="CART_FULL",scope="call",side="server"} 1`
	)
	if text := fetch(t, srv.URL(), ""); !strings.Contains(text, zero) {
		t.Errorf("no %s before the first call in\n%s", zero, text)
	}
	if err := get(cartFlaky)(t.Context(), st.crowd[anna]); err != nil { // OK at the second attempt
		t.Fatal(err)
	}
	if err := importItems("anna", 60)(t.Context(), st.crowd[anna]); err != nil {
		t.Fatal(err)
	}
	st.open.Wait()
	text := fetch(t, srv.URL(), "")
	for _, want := range []string{calls, attempts, failed, sent, shadow, "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	exemplar := regexp.MustCompile(`# \{trace_id="[0-9a-f]{32}"\}`)
	if text := fetch(t, srv.URL(), "application/openmetrics-text; version=1.0.0"); !exemplar.MatchString(text) {
		t.Errorf("no exemplar with a trace in\n%s", text)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

func fetch(t *testing.T, url, accept string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return string(body)
}

// The demo prints the address of the metrics, with --json on stderr, unless they are
// disabled.
func TestPrintsAddressOfMetrics(t *testing.T) {
	said := regexp.MustCompile(`(?m)^Its metrics are at http://127\.0\.0\.1:\d+/metrics\.$`)
	tests := []struct {
		args        []string
		out, errOut bool
	}{
		{nil, true, false},
		{[]string{"--json"}, false, true},
		{[]string{"--telemetry", "127.0.0.1:0"}, true, false},
		{[]string{"--telemetry", ""}, false, false},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			out, errOut, err := runDemo(t, append(test.args, "--for", "1ms")...)
			if err != nil || said.MatchString(out) != test.out || said.MatchString(errOut) != test.errOut {
				t.Errorf("%v; said on stdout %v, on stderr %v; want %v, %v\n%s%s", err,
					said.MatchString(out), said.MatchString(errOut), test.out, test.errOut, out, errOut)
			}
		})
	}
}

// The demo does not start if the port of the metrics is in use.
func TestMetricsPortInUse(t *testing.T) {
	hauberktest.CheckLeaks(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	out, _, err := runDemo(t, "--telemetry", lis.Addr().String())
	if failed := (*net.OpError)(nil); !errors.As(err, &failed) || out != "" {
		t.Errorf("error %v, printed %q; want that it cannot listen", err, out)
	}
}

// The demo does not start if an environment variable is wrong.
func TestWrongVariable(t *testing.T) {
	hauberktest.CheckLeaks(t)
	t.Setenv("OTEL_TRACES_EXPORTER", "zipkin")
	out, _, err := runDemo(t)
	if err == nil || !strings.HasPrefix(err.Error(), `OTEL_TRACES_EXPORTER is "zipkin"; want`) || out != "" {
		t.Errorf("error %v, printed %q", err, out)
	}
}
