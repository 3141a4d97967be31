package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/internal/options"
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

	// Live is a chain that can be replaced while the gateway runs, in place of Chain. nil means that Chain is used.
	Live *hauberk.Live

	// Client runs around the calls to the upstream, inside Chain: retries, circuit breakers,
	// deadlines. All its calls have the kind Bidi. nil means no interceptors, which costs less.
	Client *hauberk.Chain

	// ClientLive is a chain that can be replaced while the gateway runs, in place of Client. nil means that Client is
	// used.
	ClientLive *hauberk.Live

	// Strip names request metadata of clients that neither the chains nor the upstream see, such
	// as "x-user". Keys that differ only in "_" or "." for "-", in case, or in the suffix "-bin" are
	// removed, too. nil removes nothing.
	Strip []string

	// ForwardAddress sends the addresses of the client in x-forwarded-for to the upstream: that of the peer, after
	// the entries that trusted proxies of Chain have written ([hauberk.Config.TrustedProxies]). All other entries
	// are removed. A peer without an IP address, such as one on a Unix socket, that is not a trusted proxy has none.
	// False forwards the header as the client sent it.
	ForwardAddress bool

	// Forward changes the request metadata for the upstream. The context is that of the innermost
	// interceptor of Chain: hauberk.FromContext returns the call. The upstream receives no key that
	// gRPC reserves. It must be safe for concurrent use. nil changes nothing, which costs less.
	Forward func(ctx context.Context, md metadata.MD)

	// Methods are methods that the upstream is known to have, such as "/shop.v1.Cart/Get", from their
	// descriptors, so that their calls have names from the first one on. All others are learned from answers.
	// nil knows none.
	Methods []string

	// Messages decides by the name of a method, such as "/shop.v1.Cart/Get", whether the messages of its calls are
	// decoded. With a descriptor the interceptors of both chains receive messages of protobuf, and the call has the
	// kind of the method. Messages are forwarded as the bytes that arrived, unless an interceptor has changed them.
	// With an error the call runs through Chain, and then ends with the status of that error. With neither, which is
	// the default, messages are not decoded. It must be safe for concurrent use, and return the same descriptor for
	// the same method unless that has changed.
	Messages func(method string) (protoreflect.MethodDescriptor, error)

	// HealthService is a name of a service for which the gateway answers grpc.health.v1.Health/Check itself: SERVING if
	// [Gateway.Ready] returns nil, and else NOT_SERVING. The chain runs around these calls, too. Checks with other
	// names, and Watch, are forwarded. "" forwards all.
	HealthService string

	// Transport selects the implementation of HTTP/2. "" means TransportFrames.
	Transport Transport

	// MaxMessageSize is the largest size of a message in both directions, in bytes: with
	// TransportFrames as it is sent, with TransportGRPC, and if Messages decodes it, after decompression. Calls with a
	// larger message end with RESOURCE_EXHAUSTED. 0 means DefaultMaxMessageSize.
	MaxMessageSize int

	// MaxHeaderListSize is the largest size of a header list from clients, in bytes as HTTP/2
	// counts them. A call with a larger one ends with RESOURCE_EXHAUSTED. 0 means
	// DefaultMaxHeaderListSize.
	MaxHeaderListSize int

	// MaxUpstreamHeaderListSize is the same for header lists from the upstream. A call with a
	// larger response header ends with RESOURCE_EXHAUSTED. Of a larger trailer the client
	// receives the code and the beginning of the message. 0 means
	// DefaultMaxUpstreamHeaderListSize.
	MaxUpstreamHeaderListSize int

	// MaxConcurrentStreams is the largest number of concurrent calls on one connection of a
	// client. Further calls wait in the client, or are reset with REFUSED_STREAM. 0 means
	// DefaultMaxConcurrentStreams, and with TransportGRPC 100.
	MaxConcurrentStreams int

	// MaxConnections is the largest number of connections of clients. For a further one, a
	// connection without calls is closed. If all have calls, the new one is closed with GOAWAY
	// (ENHANCE_YOUR_CALM); with TransportGRPC it waits. 0 means DefaultMaxConnections.
	MaxConnections int

	// MaxHandshakes is the largest number of connections of clients that have not completed the
	// handshake of TLS or have not sent the preface and the first SETTINGS of HTTP/2. For a further
	// connection the oldest of these is closed, so that clients that send nothing neither keep others
	// out nor use much memory. Connections that are established are not affected. 0 means
	// DefaultMaxHandshakes. Only TransportFrames has it.
	MaxHandshakes int

	// MaxConnectionAge is how old a connection of a client may become, give or take 10 %.
	// Then it receives GOAWAY, so that its client connects again. 0 means no limit.
	MaxConnectionAge time.Duration

	// MaxConnectionAgeGrace is how long calls on a connection may go on after
	// MaxConnectionAge. Then they end with UNAVAILABLE. 0 means no limit.
	MaxConnectionAgeGrace time.Duration

	// MaxConnectionIdle is how long a connection of a client may have no calls, give or take a
	// quarter. Then it receives GOAWAY. 0 means DefaultMaxConnectionIdle.
	MaxConnectionIdle time.Duration

	// MinPingInterval is the least time between two PING frames of a client. Three may arrive
	// earlier, and any after the gateway has sent a frame of a call. Further ones end the
	// connection with GOAWAY (ENHANCE_YOUR_CALM, "too_many_pings"). 0 means
	// DefaultMinPingInterval.
	MinPingInterval time.Duration

	// MaxSettingsRate, MaxResetRate and MaxEmptyFrameRate are the largest numbers of SETTINGS
	// frames, RST_STREAM frames and frames without effect, such as empty DATA, per second of
	// one connection. Ten times as many may arrive at once. Further ones end the connection
	// with GOAWAY (ENHANCE_YOUR_CALM), and so does a SETTINGS frame with more than 100 entries. 0 means
	// 10, 2000 and 500. Only TransportFrames has them; grpc-go has its own limits.
	MaxSettingsRate, MaxResetRate, MaxEmptyFrameRate int

	// HandshakeTimeout is how long a new connection of a client may take for TLS, and then for
	// the preface and the first SETTINGS of HTTP/2. 0 means DefaultHandshakeTimeout.
	HandshakeTimeout time.Duration

	// FrameTimeout is how long a frame or header block that has begun may take. Then the
	// connection ends. 0 means DefaultFrameTimeout. Only TransportFrames has it.
	FrameTimeout time.Duration

	// MessageTimeout is how long a client may take for a message that has begun, and another
	// second for each 1000 bytes. Time in which the gateway takes no data does not count. Then
	// the call ends with DEADLINE_EXCEEDED. 0 means DefaultMessageTimeout. Only
	// TransportFrames has it.
	MessageTimeout time.Duration

	// FirstByteTimeout is how long the upstream may take for the response header of a call.
	// Then the call ends with UNAVAILABLE. A stream whose first message comes late may send
	// its header late, too. 0 means no limit. Only TransportFrames has it.
	FirstByteTimeout time.Duration

	// MaxMemory is the memory that the process may use, in bytes, as the Go runtime counts it:
	// what it has from the operating system. When nine tenths are used, new calls end with
	// UNAVAILABLE and the reason ReasonMemory, and new connections are closed, until less than
	// 85 % are used. Garbage counts: use debug.SetMemoryLimit with a lower value, so that it is
	// collected first. 0 means no limit.
	MaxMemory int64
}

// Gateway forwards calls to an upstream. Use [New] to create one. Its methods are safe for
// concurrent use.
type Gateway struct {
	server   transport.Server
	upstream transport.Upstream
	chain    func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error
	client   grpc.ClientConnInterface // makes the calls to the upstream; nil without a chain for them
	strip    stripper
	address  bool                                      // Config.ForwardAddress
	change   func(ctx context.Context, md metadata.MD) // nil changes nothing
	methods  methods
	health   string                                                     // Config.HealthService
	messages func(method string) (protoreflect.MethodDescriptor, error) // Config.Messages

	messageSize int            // Config.MaxMessageSize, or its default
	pumps       sync.WaitGroup // the goroutines that forward requests
	secure      *tls.Config    // of Serve; nil if the transport does TLS, or none
	release     func()         // ends the watching of certificates
	ended       atomic.Bool    // no calls are accepted any more
	limits      *limits.Recorder
	memory      *limits.Gauge // nil without a limit
}

// New returns a gateway, or an error with all that is wrong in the configuration. It does
// not connect to the upstream. Call Stop or Shutdown to release the gateway's resources,
// even if Serve was not called.
func New(config Config, opts ...Option) (*Gateway, error) {
	rec := new(limits.Recorder)
	bad := options.Apply(opts, func(o Option) { o(rec) })
	if err := errors.Join(config.Validate(), bad); err != nil {
		return nil, err
	}
	secrets, err := config.openTLS()
	if err != nil {
		return nil, err
	}
	memory := config.memory()
	upstream, server, err := config.transport(secrets, rec, memory)
	if err != nil {
		secrets.release()
		return nil, fmt.Errorf("gateway: upstream %q: %w", config.Upstream, err)
	}
	g := assemble(config, upstream, server)
	g.release = secrets.release
	if config.Transport != TransportGRPC {
		g.secure = secrets.clients
	}
	g.limits, g.memory = rec, memory
	return g, nil
}

// live returns the chain that the configuration has, or an empty one.
func (c Config) live() *hauberk.Live {
	switch {
	case c.Live != nil:
		return c.Live
	case c.Chain != nil:
		return hauberk.NewLive(c.Chain)
	default:
		return hauberk.NewLive(hauberk.Must(hauberk.New()))
	}
}

// assemble combines the chains and the two sides of a transport.
func assemble(config Config, up transport.Upstream, down func(transport.Handler) transport.Server) *Gateway {
	live, client := config.live(), config.ClientLive
	if client == nil && config.Client != nil {
		client = hauberk.NewLive(config.Client)
	}
	g := &Gateway{
		health: config.HealthService, upstream: up, chain: live.StreamServerInterceptor(), release: func() {},
		strip: newStripper(config.Strip), address: config.ForwardAddress, change: config.Forward,
		messages: config.Messages, messageSize: cmp.Or(config.MaxMessageSize, DefaultMaxMessageSize),
	}
	g.methods.set(config.Methods)
	if client != nil {
		g.client = client.ClientConn(&upstreamConn{g})
	}
	g.server = down(g.handle)
	g.forwardDirectly(live, client)
	return g
}

// Validate returns an error with all that is wrong in the configuration, as New does.
func (c Config) Validate() error {
	target := c.checkTarget()
	if target != nil {
		target = fmt.Errorf("gateway: upstream %q: %w", c.Upstream, target)
	}
	var both, bothClient error
	if c.Chain != nil && c.Live != nil {
		both = errors.New("gateway: Chain and Live are both set; want one of them")
	}
	if c.Client != nil && c.ClientLive != nil {
		bothClient = errors.New("gateway: Client and ClientLive are both set; want one of them")
	}
	return errors.Join(
		target,
		checkMethods(c.Methods),
		both,
		bothClient,
		checkStrip(c.Strip),
		c.Transport.check(),
		c.TLS.check("TLS", true),
		c.Connections.check(c.Transport),
		c.checkLimits(),
	)
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

// Ready returns nil if calls are accepted and the upstream can be reached, as far as the
// gateway's connections show. It sends no call. Without a connection it begins an attempt to
// make one, as a call does, and does not wait for it: the error is then that of the last
// attempts, or that there was none yet. A connection that was lost is no error until an attempt
// to make another one has failed.
func (g *Gateway) Ready() error {
	if g.ended.Load() {
		return errEnded
	}
	if err := g.upstream.Reach(); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

var errEnded = errors.New("gateway: Shutdown or Stop was called")

// Shutdown sends GOAWAY to clients, so that they make no further calls, waits for the
// running calls, and stops the gateway. If ctx is done first, it stops the gateway as Stop
// does and returns an error that wraps that of ctx.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.ended.Store(true)
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
// interceptor ignores its context, or the handler of [WithLogger] does not return.
func (g *Gateway) Stop() {
	g.ended.Store(true)
	g.server.Close()
	g.pumps.Wait()
	_ = g.upstream.Close()
	g.limits.Wait()
	g.release()
}
