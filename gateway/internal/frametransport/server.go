// Package frametransport implements the gateway's transport with frames of HTTP/2 (package
// h2). It does not change what it forwards: messages keep their compression, and headers and
// the status keep their encoding. It receives a large message while it sends it, so that a
// call needs no more memory than its flow control permits.
package frametransport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Config has the limits of both sides.
type Config struct {
	MessageSize int       // bytes of one message, as it is sent
	Clients     h2.Config // of the connections of clients
	Upstream    h2.Config // of the connections to the upstream
	Connections transport.Connections
	Lookup      target.Lookup // resolves names; nil means that of package target
}

// Server accepts the calls of clients.
type Server struct {
	config Config
	handle transport.Handler
	work   sync.WaitGroup // connections and handlers
	calls  *workers       // the goroutines of handlers

	mu        sync.Mutex // guards the following
	listeners map[net.Listener]struct{}
	conns     map[*h2.Conn]struct{}
	shaking   map[net.Conn]struct{} // during the handshake of TLS
	draining  bool
}

// NewServer returns a server that calls handle for all calls.
func NewServer(config Config, handle transport.Handler) *Server {
	return &Server{
		config: config, handle: handle, calls: newWorkers(),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*h2.Conn]struct{}),
		shaking:   make(map[net.Conn]struct{}),
	}
}

// Serve serves until Drain or Close. Connections that are a *tls.Conn must have negotiated
// h2 (ALPN).
func (s *Server) Serve(lis net.Listener) error {
	if !s.listen(lis) {
		_ = lis.Close()
		return nil
	}
	for wait := time.Duration(0); ; {
		nc, err := lis.Accept()
		if err == nil {
			wait = 0
			s.connect(nc)
			continue
		}
		if s.ended() {
			return nil
		}
		if temporary, ok := errors.AsType[interface {
			error
			Temporary() bool
		}](err); !ok || !temporary.Temporary() {
			_ = lis.Close()
			return err
		}
		// For example, there are no file descriptors left.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		time.Sleep(wait) //nolint:forbidigo // nothing else can wake this goroutine
	}
}

func (s *Server) listen(lis net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.listeners[lis] = struct{}{}
	return true
}

func (s *Server) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// connect serves a connection on a separate goroutine.
func (s *Server) connect(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		_ = nc.Close()
		return
	}
	s.shaking[nc] = struct{}{}
	s.work.Go(func() { s.serveConn(nc) })
}

func (s *Server) serveConn(nc net.Conn) {
	from, err := s.handshake(nc)
	if err != nil {
		s.mu.Lock()
		delete(s.shaking, nc)
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	ctx := peer.NewContext(context.Background(), from)
	conn := h2.NewServer(nc, s.config.Clients, func(stream *h2.Stream) {
		s.work.Add(1)
		s.calls.run(func() {
			defer s.work.Done()
			s.serveCall(ctx, stream)
		})
	})
	if s.add(nc, conn) {
		_ = conn.Serve()
	} else {
		_ = nc.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// add replaces a connection without HTTP/2 by one with it, unless the server is closed.
func (s *Server) add(nc net.Conn, conn *h2.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shaking, nc)
	if s.draining {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

var errNoALPN = errors.New("the client did not negotiate h2")

// handshake completes the handshake of TLS and returns the peer.
func (s *Server) handshake(nc net.Conn) (*peer.Peer, error) {
	from := &peer.Peer{Addr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr()}
	secure, ok := nc.(*tls.Conn)
	if !ok {
		return from, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := secure.ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		return nil, errNoALPN
	}
	from.AuthInfo = credentials.TLSInfo{
		State:          state,
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}
	return from, nil
}

// Drain sends GOAWAY to all clients and waits for their calls.
func (s *Server) Drain() {
	s.stop()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Drain()
	}
	s.mu.Unlock()
	s.work.Wait()
	s.calls.stop()
}

// stop closes the listeners and the connections that are not established.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for lis := range s.listeners {
		_ = lis.Close()
	}
	clear(s.listeners)
	for nc := range s.shaking {
		_ = nc.Close()
	}
}

// Close cuts all connections and waits for the handlers.
func (s *Server) Close() {
	s.stop()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
	s.calls.stop()
}
