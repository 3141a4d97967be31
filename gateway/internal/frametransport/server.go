// Package frametransport implements the gateway's transport with frames of HTTP/2 (package
// h2). It does not change what it forwards: messages keep their compression, and headers and
// the status keep their encoding. It receives a large message while it sends it, so that a
// call needs no more memory than its flow control permits.
package frametransport

import (
	"cmp"
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
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
	// Conns is the largest number of connections of clients. 0 is any number.
	Conns int
	// Handshakes is the largest number of connections of clients whose first SETTINGS have not
	// arrived. For a further one the oldest is closed. 0 is any number.
	Handshakes int
	// Age is how old a connection may become, give or take a tenth, and Grace how long its
	// calls may go on then. Idle is how long a connection may have no calls. 0 is any time.
	Age, Grace, Idle time.Duration
	// MessageTime is how long a client may take for a message that has begun, without its
	// size: 1000 bytes may take another second. FirstByte is how long the upstream may take
	// for the response header. 0 is any time.
	MessageTime, FirstByte time.Duration
	// Full reports whether connections must be rejected for want of memory. nil is never.
	Full func() bool
	// Limits counts the limits that were met. nil counts nothing.
	Limits *limits.Recorder
}

// Server accepts the calls of clients.
type Server struct {
	config Config
	handle transport.Handler
	work   sync.WaitGroup // connections, handlers and relays
	calls  *workers       // the goroutines of handlers
	keys   contextKeys

	// Set by ForwardTo. direct is nil if the handler runs for all calls.
	upstream *Upstream
	direct   transport.Direct

	mu        sync.Mutex // guards the following
	listeners map[net.Listener]struct{}
	conns     map[*connection]struct{}
	draining  bool
	rejecting int       // connections that are being rejected
	beginning list.List // the connections whose first SETTINGS have not arrived, the oldest first
}

// NewServer returns a server that calls handle for all calls.
func NewServer(config Config, handle transport.Handler) *Server {
	return &Server{
		config: config, handle: handle, calls: newWorkers(), keys: newContextKeys(),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*connection]struct{}),
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
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			s.config.Limits.Met(limits.Descriptors, "")
			s.evict()
		}
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

var errNoALPN = errors.New("the client did not negotiate h2")

// handshake completes the handshake of TLS and returns the peer.
func (s *Server) handshake(nc net.Conn) (*peer.Peer, error) {
	from := &peer.Peer{Addr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr()}
	secure, ok := nc.(*tls.Conn)
	if !ok {
		return from, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(s.config.Clients.HandshakeTimeout, 20*time.Second))
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
	for c := range s.conns {
		c.drain()
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
	for c := range s.conns {
		if c.h2 == nil {
			c.close()
		}
	}
}

// Close cuts all connections and waits for the handlers.
func (s *Server) Close() {
	s.stop()
	s.mu.Lock()
	for c := range s.conns {
		c.close()
	}
	s.mu.Unlock()
	s.work.Wait()
	s.calls.stop()
}
