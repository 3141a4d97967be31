package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/grpctransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// The limits of a gateway whose Config does not say otherwise.
const (
	// DefaultMaxMessageSize is 16 MiB, and 64 KiB for what stands around a payload
	// of that size.
	DefaultMaxMessageSize       = 16<<20 + 64<<10
	DefaultMaxHeaderListSize    = 16 << 10
	DefaultMaxConcurrentStreams = 100
)

// Config says what a gateway does. Upstream is needed; the zero values of the
// rest are fine.
type Config struct {
	// Upstream is the service behind the gateway: "host:port", or a target of
	// grpc-go such as "dns:///shop:50051" or "unix:///run/shop.sock". It is called
	// in plain text, and connected to when the first call is made.
	Upstream string

	// Chain runs around every call. nil is a chain without interceptors.
	Chain *hauberk.Chain

	// MaxMessageSize bounds one message in either direction, in bytes, after
	// decompression; calls with a larger one end with RESOURCE_EXHAUSTED. 0 is
	// DefaultMaxMessageSize.
	MaxMessageSize int

	// MaxHeaderListSize bounds the header lists that the gateway takes from clients
	// and from the upstream, in bytes as HTTP/2 counts them. 0 is
	// DefaultMaxHeaderListSize.
	MaxHeaderListSize int

	// MaxConcurrentStreams bounds the calls at a time on one connection of a
	// client; further ones wait at the client. 0 is DefaultMaxConcurrentStreams.
	MaxConcurrentStreams int
}

// Gateway forwards calls to an upstream. Its methods are safe for concurrent use.
type Gateway struct {
	server   transport.Server
	upstream transport.Upstream
	chain    func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error
	methods  methods
	pumps    sync.WaitGroup // the goroutines that forward requests
}

// New makes a gateway. It reports all that is wrong with the configuration, and
// connects to nothing yet.
func New(config Config) (*Gateway, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	chain := config.Chain
	if chain == nil {
		chain = hauberk.Must(hauberk.New())
	}
	limits := config.limits()
	upstream, err := grpctransport.NewUpstream(config.Upstream, limits)
	if err != nil {
		return nil, fmt.Errorf("gateway: upstream %q: %w", config.Upstream, err)
	}
	return assemble(chain, upstream, func(handle transport.Handler) transport.Server {
		return grpctransport.NewServer(limits, handle)
	}), nil
}

// assemble puts the parts together. Which transport they are of is no matter.
func assemble(chain *hauberk.Chain, up transport.Upstream, down func(transport.Handler) transport.Server) *Gateway {
	g := &Gateway{upstream: up, chain: chain.StreamServerInterceptor()}
	g.server = down(g.handle)
	return g
}

// Validate reports all that is wrong with the configuration, as New does.
func (c Config) Validate() error {
	target := grpctransport.CheckTarget(c.Upstream)
	if target != nil {
		target = fmt.Errorf("gateway: upstream %q: %w", c.Upstream, target)
	}
	return errors.Join(
		target,
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

func (c Config) limits() grpctransport.Limits {
	return grpctransport.Limits{
		MessageSize:    cmp.Or(c.MaxMessageSize, DefaultMaxMessageSize),
		HeaderListSize: uint32(cmp.Or(c.MaxHeaderListSize, DefaultMaxHeaderListSize)),
		Streams:        uint32(cmp.Or(c.MaxConcurrentStreams, DefaultMaxConcurrentStreams)),
	}
}

// Serve takes calls from lis, until Shutdown or Stop; then it returns nil. It may
// be called for several listeners.
func (g *Gateway) Serve(lis net.Listener) error { return g.server.Serve(lis) }

// Shutdown turns new calls away, so that clients go elsewhere, waits for the ones
// that run, and ends the gateway. When ctx is done first it does what Stop does,
// and returns the error of ctx.
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

// Stop ends all calls, which clients see as UNAVAILABLE, and the gateway. It
// returns when nothing of it runs any more, for which interceptors must heed
// their contexts.
func (g *Gateway) Stop() {
	g.server.Close()
	g.pumps.Wait()
	_ = g.upstream.Close()
}
