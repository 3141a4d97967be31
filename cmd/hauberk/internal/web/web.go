// Package web has what the HTTP listeners of the command have in common: addresses, TLS and limits for untrusted
// clients.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/address"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// The limits for untrusted clients.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	idleTimeout    = 2 * time.Minute // longer than the usual scrape intervals
	maxConnections = 64
)

// MaxHeaderBytes is the size of the largest header of a request.
const MaxHeaderBytes = 16 << 10

// grace is the time that running requests have to finish when the server closes.
const grace = time.Second

// Listener is an HTTP listener of the command.
type Listener struct {
	// Flag is the flag of its address without dashes: "telemetry".
	Flag string
	// Serves says what it serves, for errors: "metrics".
	Serves string
	// Example is an address for errors.
	Example string
	// AnswerTime bounds the time for an answer, also for slow readers.
	AnswerTime time.Duration
}

// Resolve returns the address that the flag has, or nil if it is empty. An address that other machines can reach needs
// TLS or insecure.
func (l Listener) Resolve(ctx context.Context, value string, files TLS, insecure bool) (*net.TCPAddr, error) {
	if err := files.check(l.Flag, value); err != nil || value == "" {
		return nil, err
	}
	addr, err := address.Resolve(ctx, value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--%s %q is not an address: %w; want host:port, such as %s",
			l.Flag, value, err, l.Example)
	case !addr.IP.IsLoopback() && !insecure && files.Cert == "":
		return nil, fmt.Errorf("--%[1]s %[2]q serves plain text to other machines;"+
			" want a loopback address such as 127.0.0.1:%[3]d, --%[1]s-tls-cert, or --insecure",
			l.Flag, value, addr.Port)
	}
	return addr, nil
}

// Server serves a handler. Use [Listener.Listen] to create one. Its methods are safe for concurrent use.
type Server struct {
	of     Listener
	lis    net.Listener
	http   *http.Server
	served chan error
	scheme string
	pair   *keypair.Pair // nil without TLS
}

// Listen serves a handler at an address until Close is called.
func (l Listener) Listen(at *net.TCPAddr, files TLS, handler http.Handler) (*Server, error) {
	config, pair, err := files.open(l.Flag)
	if err != nil {
		return nil, err
	}
	lis, err := net.ListenTCP("tcp", at)
	if err != nil {
		closePair(pair)
		return nil, fmt.Errorf("--%s: cannot serve %s: %w", l.Flag, l.Serves, err)
	}
	s := &Server{of: l, lis: lis, scheme: "http", pair: pair, served: make(chan error, 1)}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      l.AnswerTime,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
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

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.lis.Addr() }

// URL returns the URL of a path.
func (s *Server) URL(path string) string { return s.scheme + "://" + s.lis.Addr().String() + path }

// VerifyName returns an error if the server has no certificate for a host.
func (s *Server) VerifyName(host string) error {
	if s.pair == nil {
		return errors.New("the listener has no certificate")
	}
	return verifyName(s.pair, host)
}

// Close waits for running requests, for at most one second, and stops the server. It returns the error that stopped
// the server before, if any.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	defer closePair(s.pair)
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the server of %s failed: %w", s.of.Serves, err)
	}
	return nil
}
