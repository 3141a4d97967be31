package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/frametransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/grpctransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// bubble is a backend, a gateway in front of it and clients of both, in memory.
//
//nolint:recvcheck // each run copies the literal
type bubble struct {
	interceptors []hauberk.Interceptor
	inner        []hauberk.Interceptor // of the calls to the upstream
	messages     func(method string) (protoreflect.MethodDescriptor, error)
	backend      hauberktest.Backend
	srv          []grpc.ServerOption // of the backend
	dial         []grpc.DialOption   // of the clients
	limit        int                 // of message sizes; 0 is the default
	streams      int                 // concurrent ones of a client's connection; 0 is the default
	strip        []string            // Config.Strip
	transport    Transport           // run and eachKind set it

	gateway *Gateway
	live    *hauberk.Live // of the gateway
	server  *grpc.Server  // the backend's
	front   *endpoint
	behind  *endpoint
	through *grpc.ClientConn // to the gateway
	direct  *grpc.ClientConn // to the backend
}

// endpoint is an in-memory address with a listener.
type endpoint struct {
	atomic.Pointer[bufconn.Listener]
}

func (p *endpoint) listen() *bufconn.Listener {
	p.Store(bufconn.Listen(1 << 16))
	return p.Load()
}

func (p *endpoint) dialer() grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.Load().DialContext(ctx) })
}

// run runs a test in a synctest bubble. There, time advances only when all goroutines are
// blocked, and synctest.Wait waits until they are. The bubble fails the test if a goroutine
// remains at its end.
// It runs the test with each transport. Without interceptors, TransportFrames forwards calls
// directly; then it runs the test with an interceptor as well, so that calls have a goroutine.
func (b bubble) run(t *testing.T, test func(t *testing.T, b *bubble)) {
	t.Helper()
	for _, b.transport = range transports {
		t.Run(string(b.transport), func(t *testing.T) { b.runOnce(t, test) })
	}
	if len(b.interceptors) == 0 {
		b.transport, b.interceptors = TransportFrames, []hauberk.Interceptor{hauberk.Func(through)}
		t.Run("frames with a chain", func(t *testing.T) { b.runOnce(t, test) })
	}
}

// through is an interceptor that does nothing.
func through(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

var transports = []Transport{TransportGRPC, TransportFrames}

// runOnce runs a test with the bubble's transport.
func (b bubble) runOnce(t *testing.T, test func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b.start(t)
		defer b.stop()
		test(t, &b)
	})
}

func (b *bubble) start(t *testing.T) {
	t.Helper()
	b.front, b.behind = new(endpoint), new(endpoint)
	b.serve()
	upstream, server, err := b.sides()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := hauberk.New(b.interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	b.live = hauberk.NewLive(chain)
	config := Config{Live: b.live, Strip: b.strip, Messages: b.messages, MaxMessageSize: b.limit}
	if b.inner != nil {
		config.Client = hauberk.Must(hauberk.New(b.inner...))
	}
	b.gateway = assemble(config, upstream, server)
	lis := b.front.listen()
	go func() { _ = b.gateway.Serve(lis) }()
	b.through, b.direct = b.connect(t, b.front), b.connect(t, b.behind)
}

// sides makes both sides of the transport, in memory.
func (b *bubble) sides() (transport.Upstream, newServer, error) {
	const target = "passthrough:///backend"
	config := Config{MaxMessageSize: b.limit, MaxConcurrentStreams: b.streams}
	if b.transport == TransportFrames {
		frames := config.frames(nil, nil)
		upstream, err := frametransport.NewUpstream(target, frames, func(ctx context.Context, _, _ string) (net.Conn, error) {
			return b.behind.Load().DialContext(ctx)
		})
		return upstream, func(h transport.Handler) transport.Server { return frametransport.NewServer(frames, h) }, err
	}
	limits := config.grpc(nil)
	upstream, err := grpctransport.NewUpstream(target, limits, config.Connections.internal(nil), b.behind.dialer())
	return upstream, func(h transport.Handler) transport.Server { return grpctransport.NewServer(limits, h) }, err
}

// serve starts the backend.
func (b *bubble) serve() {
	srv, lis := grpc.NewServer(append([]grpc.ServerOption{grpc.MaxRecvMsgSize(64 << 20)}, b.srv...)...), b.behind.listen()
	testpb.RegisterTestServiceServer(srv, &b.backend)
	b.server = srv
	go func() { _ = srv.Serve(lis) }()
}

func (b *bubble) stop() {
	_ = b.through.Close()
	_ = b.direct.Close()
	b.gateway.Stop()
	b.server.Stop()
}

func (b *bubble) connect(t *testing.T, to *endpoint) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///bubble", append([]grpc.DialOption{
		to.dialer(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20)),
	}, b.dial...)...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// client returns a client of the gateway.
func (b *bubble) client() testpb.TestServiceClient { return testpb.NewTestServiceClient(b.through) }

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// eachKind runs a test for each kind of method, in separate bubbles.
func (b bubble) eachKind(t *testing.T, test func(t *testing.T, b *bubble, kind hauberk.Kind)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			b.run(t, func(t *testing.T, b *bubble) { test(t, b, kind) })
		})
	}
}

// open starts a call of a kind and sends one request, unless the call has ended already.
func open(ctx context.Context, t *testing.T, conn *grpc.ClientConn, kind hauberk.Kind, opts ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(kind), opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&testpb.Request{Text: "first"}); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return stream
}
