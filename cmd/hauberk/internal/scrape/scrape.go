// Package scrape serves metrics to Prometheus. Clients can only read them.
package scrape

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/address"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// The paths that are served: the metrics, whether the process is alive, and whether it accepts calls. The last two
// are for probes. Their status is 200, that of ReadyPath 503 while the process does not accept calls.
const (
	Path       = "/metrics"
	HealthPath = "/healthz"
	ReadyPath  = "/readyz"
)

// The limits for untrusted clients.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	answerTimeout  = 30 * time.Second // for slow readers
	idleTimeout    = 2 * time.Minute  // longer than the usual scrape intervals
	maxHeaderBytes = 16 << 10
	maxConnections = 64
	maxScrapes     = 8
)

// grace is the time that running scrapes have to finish when the server closes.
const grace = time.Second

// Resolve returns the address of the flag --telemetry, or nil if the flag is empty. An address
// that other machines can reach needs TLS or insecure.
func Resolve(ctx context.Context, flag string, files TLS, insecure bool) (*net.TCPAddr, error) {
	if err := files.check(flag); err != nil || flag == "" {
		return nil, err
	}
	addr, err := address.Resolve(ctx, flag)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--telemetry %q is not an address: %w;"+
			" want host:port, such as 127.0.0.1:9464", flag, err)
	case !addr.IP.IsLoopback() && !insecure && files.Cert == "":
		return nil, fmt.Errorf("--telemetry %q serves plain text to other machines;"+
			" want a loopback address such as 127.0.0.1:%d, --telemetry-tls-cert, or --insecure", flag, addr.Port)
	}
	return addr, nil
}

// Server serves the metrics of a registry. Use [Listen] to create one.
type Server struct {
	lis    net.Listener
	http   *http.Server
	served chan error
	scheme string
	pair   *keypair.Pair // nil without TLS
	ready  atomic.Bool   // see SetReady
}

// SetReady sets whether the process accepts calls. It is false at first. It does nothing if s is nil. Safe for
// concurrent use.
func (s *Server) SetReady(ready bool) {
	if s != nil {
		s.ready.Store(ready)
	}
}

// Process serves the metrics that register registers, of the Go runtime and of the process at an
// address, as [Listen] does. It returns nil if the address is nil.
func Process(at *net.TCPAddr, files TLS, register func(reg prometheus.Registerer) error) (*Server, error) {
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
func Listen(at *net.TCPAddr, files TLS, g prometheus.Gatherer) (*Server, error) {
	config, pair, err := files.open()
	if err != nil {
		return nil, err
	}
	lis, err := net.ListenTCP("tcp", at)
	if err != nil {
		closePair(pair)
		return nil, fmt.Errorf("--telemetry: cannot serve metrics: %w", err)
	}
	s := &Server{lis: lis, scheme: "http", pair: pair, served: make(chan error, 1)}
	s.http = &http.Server{
		Handler:           s.handler(g),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // malformed requests of untrusted clients are not logged
	}
	limited := netutil.LimitListener(lis, maxConnections)
	if config != nil {
		s.scheme = "https"
		limited = tls.NewListener(limited, config)
	}
	go func() { s.served <- s.http.Serve(limited) }()
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
		if !s.ready.Load() {
			http.Error(w, "calls are not accepted", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

// URL returns the URL of the metrics.
func (s *Server) URL() string { return s.scheme + "://" + s.lis.Addr().String() + Path }

// Close waits for running scrapes, for at most one second, and stops the server. It
// returns the error that stopped the server before, if any.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	defer closePair(s.pair)
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the metrics server failed: %w", err)
	}
	return nil
}
