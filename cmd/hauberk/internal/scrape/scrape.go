// Package scrape serves metrics to Prometheus. Clients can only read them.
package scrape

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web"
)

// The paths that are served: the metrics, whether the process is alive, and whether it accepts calls. The last two
// are for probes. Their status is 200, that of ReadyPath 503 while the process does not accept calls.
const (
	Path       = "/metrics"
	HealthPath = "/healthz"
	ReadyPath  = "/readyz"
)

// maxScrapes is the largest number of concurrent scrapes.
const maxScrapes = 8

// listener is that of the flag --telemetry.
//
//nolint:gochecknoglobals // never written
var listener = web.Listener{
	Flag: "telemetry", Serves: "metrics", Example: "127.0.0.1:9464", AnswerTime: 30 * time.Second,
}

// AddTLS adds the flags --telemetry-tls-cert and --telemetry-tls-key.
func AddTLS(files *web.TLS, flags *pflag.FlagSet) { files.Add(flags, listener.Flag) }

// Resolve returns the address of the flag --telemetry, or nil if the flag is empty. An address
// that other machines can reach needs TLS or insecure.
func Resolve(ctx context.Context, flag string, files web.TLS, insecure bool) (*net.TCPAddr, error) {
	return listener.Resolve(ctx, flag, files, insecure)
}

// Server serves the metrics of a registry. Use [Listen] to create one.
type Server struct {
	*web.Server

	ready atomic.Pointer[func() error] // see SetReady; nil while the process does not accept calls
}

// SetReady reports that the process accepts calls. ReadyPath then answers 200 if check returns nil, and else 503 with
// its error. It does nothing if s is nil. Safe for concurrent use.
func (s *Server) SetReady(check func() error) {
	if s != nil {
		s.ready.Store(&check)
	}
}

// SetNotReady reports that the process does not accept calls, as at first. It does nothing if s is nil. Safe for
// concurrent use.
func (s *Server) SetNotReady() {
	if s != nil {
		s.ready.Store(nil)
	}
}

// Always is a check that is never an error.
func Always() error { return nil }

// Process serves the metrics that register registers, of the Go runtime and of the process at an
// address, as [Listen] does. It returns nil if the address is nil.
func Process(at *net.TCPAddr, files web.TLS, register func(reg prometheus.Registerer) error) (*Server, error) {
	if at == nil {
		return nil, nil //nolint:nilnil // the caller checks for nil
	}
	reg := prometheus.NewRegistry()
	err := errors.Join(
		register(reg),
		reg.Register(collectors.NewGoCollector()),
		reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, err
	}
	return Listen(at, files, reg)
}

// Listen serves the metrics of g at an address until Close is called. The format is
// Prometheus's text format, or OpenMetrics with exemplars if the client accepts it. Only
// GET and HEAD of Path, HealthPath and ReadyPath succeed.
func Listen(at *net.TCPAddr, files web.TLS, g prometheus.Gatherer) (*Server, error) {
	s := new(Server)
	var err error
	if s.Server, err = listener.Listen(at, files, s.handler(g)); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) handler(g prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(g, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: maxScrapes,
	}))
	mux.HandleFunc("GET "+HealthPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET "+ReadyPath, func(w http.ResponseWriter, _ *http.Request) {
		check := s.ready.Load()
		if check == nil {
			http.Error(w, "calls are not accepted", http.StatusServiceUnavailable)
			return
		}
		if err := (*check)(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

// URL returns the URL of the metrics.
func (s *Server) URL() string { return s.Server.URL(Path) }
