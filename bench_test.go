package hauberk_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// registry catches the service description that a chain registers, so that its
// handlers can be run without a network.
type registry struct {
	desc *grpc.ServiceDesc
	impl any
}

func (r *registry) RegisterService(desc *grpc.ServiceDesc, impl any) { r.desc, r.impl = desc, impl }

func idle(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) }

func idleChain(n int) *hauberk.Chain {
	var interceptors []hauberk.Interceptor
	for range n {
		interceptors = append(interceptors, hauberk.Func(idle))
	}
	return hauberk.Must(hauberk.New(interceptors...))
}

// attacher is a *hauberk.Chain or a *hauberk.Live.
type attacher interface {
	Registrar(srv grpc.ServiceRegistrar) *hauberk.Registrar
	ClientConn(conn grpc.ClientConnInterface) grpc.ClientConnInterface
}

// unaryHandler returns a function that serves one unary call, behind a chain or
// (nil) bare.
func unaryHandler(chain attacher) func() error {
	var r registry
	if chain == nil {
		testpb.RegisterTestServiceServer(&r, fixedService{})
	} else {
		testpb.RegisterTestServiceServer(chain.Registrar(&r), fixedService{})
	}
	ctx := context.Background()
	dec := func(any) error { return nil }
	handler := r.desc.Methods[0].Handler
	return func() error {
		_, err := handler(r.impl, ctx, dec, nil)
		return err
	}
}

type fixedService struct {
	testpb.UnimplementedTestServiceServer
}

var fixedResponse = &testpb.Response{Text: "fixed"}

func (fixedService) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	return fixedResponse, nil
}

// BenchmarkServerUnary runs a generated handler bare and behind chains of idle
// interceptors; the difference is what a chain costs.
func BenchmarkServerUnary(b *testing.B) {
	b.Run("bare", func(b *testing.B) { repeat(b, unaryHandler(nil)) })
	b.Run("live", func(b *testing.B) { repeat(b, unaryHandler(hauberk.NewLive(idleChain(1)))) })
	for _, n := range []int{0, 1, 4, 8} {
		b.Run(fmt.Sprintf("interceptors=%d", n), func(b *testing.B) { repeat(b, unaryHandler(idleChain(n))) })
	}
}

func repeat(b *testing.B, call func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
}

// stubConn is a connection that answers at once.
type stubConn struct{}

func (stubConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

func (stubConn) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &stubStream{ctx: ctx, left: 1}, nil
}

type stubStream struct {
	ctx  context.Context
	left int
}

func (s *stubStream) Context() context.Context   { return s.ctx }
func (*stubStream) Header() (metadata.MD, error) { return nil, nil }
func (*stubStream) Trailer() metadata.MD         { return nil }
func (*stubStream) CloseSend() error             { return nil }
func (*stubStream) SendMsg(any) error            { return nil }
func (s *stubStream) RecvMsg(any) error {
	if s.left == 0 {
		return io.EOF
	}
	s.left--
	return nil
}

func clientCall(chain attacher, kind hauberk.Kind) func() error {
	var conn grpc.ClientConnInterface = stubConn{}
	if chain != nil {
		conn = chain.ClientConn(conn)
	}
	ctx := context.Background()
	req, resp := &testpb.Request{}, &testpb.Response{}
	method := hauberktest.FullMethod(kind)
	if kind == hauberk.Unary {
		return func() error { return conn.Invoke(ctx, method, req, resp) }
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	return func() error {
		stream, err := conn.NewStream(ctx, desc, method)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(req); err != nil {
			return err
		}
		_ = stream.CloseSend()
		for err == nil {
			if err = stream.RecvMsg(resp); !kind.ServerStreams() {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		return err
	}
}

// BenchmarkClient makes calls on a connection that answers at once, bare and
// behind chains of idle interceptors, from open to end.
func BenchmarkClient(b *testing.B) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		b.Run(kind.String()+"/bare", func(b *testing.B) { repeat(b, clientCall(nil, kind)) })
		for _, n := range []int{0, 1, 8} {
			b.Run(fmt.Sprintf("%s/interceptors=%d", kind, n), func(b *testing.B) { repeat(b, clientCall(idleChain(n), kind)) })
		}
	}
}

// messageChains are chains whose cost for a message of an open stream is measured.
var messageChains = map[string][]hauberk.Interceptor{
	"empty":           nil,
	"1 hook":          hooksEachWay(1),
	"5 hooks":         hooksEachWay(5),
	"1 hook, guarded": append([]hauberk.Interceptor{recoverer{}}, hooksEachWay(1)...),
	"replayable": {hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Replayable(1 << 40)
		return next(ctx, call)
	})},
}

// hooksEachWay are n interceptors with a hook in each direction.
func hooksEachWay(n int) (interceptors []hauberk.Interceptor) {
	for range n {
		interceptors = append(interceptors, passThrough())
	}
	return interceptors
}

// messageRoundTrip opens a bidirectional stream on a connection that answers at once
// and returns a function that sends and receives one message.
func messageRoundTrip(t testing.TB, chain *hauberk.Chain) func() error {
	t.Helper()
	endless := script{receive: func(context.Context, any) error { return nil }}
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := chain.ClientConn(&scripts{open: alike(endless)}).NewStream(ctx, descOf(hauberk.Bidi), hauberktest.FullMethod(hauberk.Bidi))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for stream.RecvMsg(new(testpb.Response)) == nil {
			continue
		}
	})
	req, resp := message("hello, this is a message"), new(testpb.Response)
	return func() error {
		if err := stream.SendMsg(req); err != nil {
			return err
		}
		return stream.RecvMsg(resp)
	}
}

// BenchmarkStreamMessage sends and receives a message on an open stream without a
// network: what a chain costs a message.
func BenchmarkStreamMessage(b *testing.B) {
	for name, interceptors := range messageChains {
		b.Run(name, func(b *testing.B) { repeat(b, messageRoundTrip(b, hauberk.Must(hauberk.New(interceptors...)))) })
	}
}
