package scrape

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web/webtest"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

func serve(t *testing.T) *Server {
	t.Helper()
	hauberktest.CheckLeaks(t)
	reg := prometheus.NewRegistry()
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "calls_total", Help: "Calls."})
	reg.MustRegister(count)
	count.(prometheus.ExemplarAdder).AddWithExemplar(3, prometheus.Labels{"trace_id": "abc"})
	s, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, web.TLS{}, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends a request on a new connection.
func ask(t *testing.T, method, url, accept string) (*http.Response, string) {
	t.Helper()
	req := webtest.Request(t, method, url)
	req.Header.Set("Accept", accept)
	return webtest.Do(t, http.DefaultClient, req)
}

func TestFormats(t *testing.T) {
	s := serve(t)
	tests := []struct{ accept, contentType, want string }{
		{"", "text/plain; version=0.0.4", "calls_total 3\n"},
		{"application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0", `calls_total 3.0 # {trace_id="abc"} 3.0`},
	}
	for _, test := range tests {
		resp, body := ask(t, http.MethodGet, s.URL(), test.accept)
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), test.contentType) {
			t.Errorf("accept %q: %s, %v", test.accept, resp.Status, resp.Header)
		}
		if !strings.Contains(body, test.want) {
			t.Errorf("accept %q: no %q in %q", test.accept, test.want, body)
		}
	}
}

// Clients can read the metrics and nothing else.
func TestReadOnly(t *testing.T) {
	s := serve(t)
	root := strings.TrimSuffix(s.URL(), Path)
	tests := []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, Path, http.StatusOK},
		{http.MethodHead, Path, http.StatusOK},
		{http.MethodPost, Path, http.StatusMethodNotAllowed},
		{http.MethodDelete, Path, http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, Path + "/", http.StatusNotFound},
		{http.MethodGet, "/debug/pprof/", http.StatusNotFound},
		{http.MethodGet, HealthPath, http.StatusOK},
		{http.MethodPost, HealthPath, http.StatusMethodNotAllowed},
		{http.MethodPost, ReadyPath, http.StatusMethodNotAllowed},
	}
	for _, test := range tests {
		if resp, _ := ask(t, test.method, root+test.path, ""); resp.StatusCode != test.want {
			t.Errorf("%s %s: %s; want %d", test.method, test.path, resp.Status, test.want)
		}
	}
}

// ReadyPath says whether calls are accepted, HealthPath does not.
func TestProbes(t *testing.T) {
	s := serve(t)
	root := strings.TrimSuffix(s.URL(), Path)
	for _, step := range []struct {
		name string
		set  func()
		want int
	}{
		{"at first", func() {}, http.StatusServiceUnavailable},
		{"ready", func() { s.SetReady(Always) }, http.StatusOK},
		{"failed check", func() { s.SetReady(func() error { return io.ErrUnexpectedEOF }) }, http.StatusServiceUnavailable},
		{"ready again", func() { s.SetReady(Always) }, http.StatusOK},
		{"not ready", s.SetNotReady, http.StatusServiceUnavailable},
	} {
		step.set()
		ready, want := step.name, step.want
		if resp, body := ask(t, http.MethodGet, root+ReadyPath, ""); resp.StatusCode != want {
			t.Errorf("%s: %s, %q; want %d", ready, resp.Status, body, want)
		}
		if resp, _ := ask(t, http.MethodGet, root+HealthPath, ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s of %s", ready, resp.Status, HealthPath)
		}
	}
	(*Server)(nil).SetReady(Always) // without --telemetry
	(*Server)(nil).SetNotReady()
}
