// Package scrape serves metrics to Prometheus, for reading and nothing else.
package scrape

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/address"
)

// Path is where the metrics are.
const Path = "/metrics"

// What one who can reach the port may take up.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	answerTimeout  = 30 * time.Second // a scrape with a slow reader
	idleTimeout    = 2 * time.Minute  // above the usual scrape intervals
	maxHeaderBytes = 16 << 10
	maxConnections = 64
	maxScrapes     = 8
)

// grace is how long scrapes may go on when the server ends.
const grace = time.Second

// Resolve returns the address that the flag --telemetry stands for, nil for none.
func Resolve(ctx context.Context, flag string) (*net.TCPAddr, error) {
	if flag == "" {
		return nil, nil //nolint:nilnil // no address is a fine one
	}
	addr, err := address.Resolve(ctx, flag)
	if err != nil {
		return nil, fmt.Errorf("--telemetry %q is not an address: %w;"+
			" want host:port, such as 127.0.0.1:9464", flag, err)
	}
	return addr, nil
}

// Server serves what a registry gathers. Make it with [Listen].
type Server struct {
	lis    net.Listener
	http   *http.Server
	served chan error
}

// Listen serves the metrics of g at an address until Close: in the text format, or in
// OpenMetrics, with exemplars, to those who ask for it. Only GET and HEAD of Path
// are answered.
func Listen(at *net.TCPAddr, g prometheus.Gatherer) (*Server, error) {
	lis, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("--telemetry: cannot serve metrics: %w", err)
	}
	s := &Server{lis: lis, served: make(chan error, 1), http: &http.Server{
		Handler:           handler(g),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // what strangers send is no news
	}}
	go func() { s.served <- s.http.Serve(netutil.LimitListener(lis, maxConnections)) }()
	return s, nil
}

func handler(g prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(g, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: maxScrapes,
	}))
	return mux
}

// URL is where the metrics are.
func (s *Server) URL() string { return "http://" + s.lis.Addr().String() + Path }

// Close ends the server, after the scrapes that run. An error is one that ended it
// before.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics were not served any more: %w", err)
	}
	return nil
}
