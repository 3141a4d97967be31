package main

import (
	"context"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// registry keeps a service description, so that its handlers can run without a
// network.
type registry struct {
	desc *grpc.ServiceDesc
	impl any
}

func (r *registry) RegisterService(desc *grpc.ServiceDesc, impl any) { r.desc, r.impl = desc, impl }

// fixedService answers every call with the same message.
type fixedService struct {
	testpb.UnimplementedTestServiceServer
}

var fixed = &testpb.Response{Text: "fixed"}

func (fixedService) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	return fixed, nil
}

// Bidi sends its header, so that a client knows that the stream is open, and reads until
// the client ends the stream.
func (fixedService) Bidi(stream testpb.TestService_BidiServer) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		_, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// serverUnary serves one unary call behind a chain, an interceptor of grpc-go or
// nothing.
func serverUnary(chain *hauberk.Chain, interceptor grpc.UnaryServerInterceptor) func() error {
	return serverUnaryIn(incomingContext, chain, interceptor)
}

// serverUnaryIn does so in the context that the handler shall have.
func serverUnaryIn(
	newContext func() (context.Context, error), chain *hauberk.Chain, interceptor grpc.UnaryServerInterceptor,
) func() error {
	var r registry
	if chain == nil {
		testpb.RegisterTestServiceServer(&r, fixedService{})
	} else {
		testpb.RegisterTestServiceServer(chain.Registrar(&r), fixedService{})
	}
	ctx, err := newContext()
	if err != nil {
		return failing(err)
	}
	handler := r.desc.Methods[0].Handler
	return func() error {
		_, err := handler(r.impl, ctx, decodeNothing, interceptor)
		return err
	}
}

func decodeNothing(any) error { return nil }

// incomingContext returns the context that grpc-go gives to the handler of an authorized
// call.
func incomingContext() (context.Context, error) {
	authorization, err := newAuthorization()
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), nullStream{})
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001}})
	return metadata.NewIncomingContext(ctx, metadata.Pairs(
		"user-agent", "bench", ":authority", "localhost", "authorization", authorization)), err
}

// nullStream discards headers and trailers.
type nullStream struct{}

func (nullStream) Method() string               { return testpb.TestService_Unary_FullMethodName }
func (nullStream) SetHeader(metadata.MD) error  { return nil }
func (nullStream) SendHeader(metadata.MD) error { return nil }
func (nullStream) SetTrailer(metadata.MD) error { return nil }

// stubConn answers every call at once.
type stubConn struct{}

func (stubConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

func (stubConn) NewStream(
	ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return &stubStream{ctx: ctx, left: 1}, nil
}

type stubStream struct {
	ctx  context.Context //nolint:containedctx // what Context returns
	left int
}

func (s *stubStream) Context() context.Context   { return s.ctx }
func (*stubStream) Header() (metadata.MD, error) { return metadata.MD{}, nil }
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

// clientCall makes one call on a connection that answers at once.
func clientCall(chain *hauberk.Chain, kind hauberk.Kind) func() error {
	var conn grpc.ClientConnInterface = stubConn{}
	if chain != nil {
		conn = chain.ClientConn(conn)
	}
	if kind == hauberk.Unary {
		return unaryOn(conn)
	}
	ctx := context.Background()
	req, resp := &testpb.Request{}, &testpb.Response{}
	method := hauberktest.FullMethod(kind)
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	return func() error {
		stream, err := conn.NewStream(ctx, desc, method)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(req); err != nil {
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		return receiveAll(stream, resp, kind.ServerStreams())
	}
}

func receiveAll(stream grpc.ClientStream, resp any, many bool) error {
	for {
		err := stream.RecvMsg(resp)
		if err == io.EOF {
			return nil
		}
		if err != nil || !many {
			return err
		}
	}
}
