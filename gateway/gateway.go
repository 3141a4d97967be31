package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// The default limits of a [Config].
const (
	DefaultMaxMessageSize       = 16<<20 + 64<<10 // bytes: a payload of 16 MiB, and 64 KiB for other fields
	DefaultMaxHeaderListSize    = 16 << 10        // bytes
	DefaultMaxConcurrentStreams = 100             // calls per connection
)

// Config configures a gateway. Upstream is required. The zero values of all other fields
// are defaults.
type Config struct {
	// Upstream is the address of the service: "host:port", or a target of gRPC with the scheme
	// dns, ipv4, ipv6, unix or unix-abstract, such as "dns:///shop:50051",
	// "ipv4:10.0.0.1:50051,10.0.0.2:50051" or "unix:///run/shop.sock". The gateway connects at
	// the first call.
	Upstream string

	// Connections configures the connections to the upstream.
	Connections Connections

	// TLS is the configuration of TLS for clients. nil means that Serve adds no TLS to its
	// listener.
	TLS *TLS

	// Chain runs around every call. nil means no interceptors.
	Chain *hauberk.Chain

	// Transport selects the implementation of HTTP/2. "" means TransportGRPC.
	Transport Transport

	// MaxMessageSize is the largest size of a message in both directions, in bytes after
	// decompression. Calls with a larger message end with RESOURCE_EXHAUSTED. 0 means
	// DefaultMaxMessageSize.
	MaxMessageSize int

	// MaxHeaderListSize is the largest size of a header list from clients and from the
	// upstream, in bytes as HTTP/2 counts them. 0 means DefaultMaxHeaderListSize, and with
	// TransportFrames 256 KiB from the upstream.
	MaxHeaderListSize int

	// MaxConcurrentStreams is the largest number of concurrent calls on one connection of a
	// client. Further calls wait in the client. 0 means DefaultMaxConcurrentStreams.
	MaxConcurrentStreams int
}

// Gateway forwards calls to an upstream. Use [New] to create one. Its methods are safe for
// concurrent use.
type Gateway struct {
	server   transport.Server
	upstream transport.Upstream
	chain    func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error
	methods  methods
	pumps    sync.WaitGroup // the goroutines that forward requests
	secure   *tls.Config    // of Serve; nil if the transport does TLS, or none
	release  func()         // ends the watching of certificates
}

// New returns a gateway, or an error with all that is wrong in the configuration. It does
// not connect to the upstream. Call Stop or Shutdown to release the gateway's resources,
// even if Serve was not called.
func New(config Config) (*Gateway, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	chain := config.Chain
	if chain == nil {
		chain = hauberk.Must(hauberk.New())
	}
	secrets, err := config.openTLS()
	if err != nil {
		return nil, err
	}
	upstream, server, err := config.transport(secrets)
	if err != nil {
		secrets.release()
		return nil, fmt.Errorf("gateway: upstream %q: %w", config.Upstream, err)
	}
	g := assemble(chain, upstream, server)
	g.release = secrets.release
	if config.Transport == TransportFrames {
		g.secure = secrets.clients
	}
	return g, nil
}

// assemble combines a chain and the two sides of a transport.
func assemble(chain *hauberk.Chain, up transport.Upstream, down func(transport.Handler) transport.Server) *Gateway {
	g := &Gateway{upstream: up, chain: chain.StreamServerInterceptor(), release: func() {}}
	g.server = down(g.handle)
	return g
}

// Validate returns an error with all that is wrong in the configuration, as New does.
func (c Config) Validate() error {
	target := c.checkTarget()
	if target != nil {
		target = fmt.Errorf("gateway: upstream %q: %w", c.Upstream, target)
	}
	return errors.Join(
		target,
		c.Transport.check(),
		c.TLS.check("TLS", true),
		c.Connections.check(c.Transport),
		checkLimit("MaxMessageSize", c.MaxMessageSize),
		checkLimit("MaxHeaderListSize", c.MaxHeaderListSize),
		checkLimit("MaxConcurrentStreams", c.MaxConcurrentStreams),
	)
}

func checkLimit(name string, value int) error {
	if value < 0 || value > math.MaxInt32 {
		return fmt.Errorf("gateway: %s is %d; want 1 to %d, or 0 for the default", name, value, math.MaxInt32)
	}
	return nil
}

// Serve accepts connections on lis and serves their calls. It returns nil after Shutdown or
// Stop, and otherwise the listener's error. It closes lis. It may be called for several
// listeners.
func (g *Gateway) Serve(lis net.Listener) error {
	if g.secure != nil {
		lis = tls.NewListener(lis, g.secure)
	}
	return g.server.Serve(lis)
}

// Shutdown sends GOAWAY to clients, so that they make no further calls, waits for the
// running calls, and stops the gateway. If ctx is done first, it stops the gateway as Stop
// does and returns an error that wraps that of ctx.
func (g *Gateway) Shutdown(ctx context.Context) error {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		g.server.Drain()
	}()
	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = fmt.Errorf("gateway: calls were still running at the end of the drain time: %w", ctx.Err())
	}
	g.Stop()
	<-drained
	return err
}

// Stop cancels all calls, which clients see as UNAVAILABLE, and stops the gateway. It
// returns when all of the gateway's goroutines have ended. It therefore blocks while an
// interceptor ignores its context.
func (g *Gateway) Stop() {
	g.server.Close()
	g.pumps.Wait()
	_ = g.upstream.Close()
	g.release()
}
