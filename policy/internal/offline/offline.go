// Package offline makes calls of a server's chain without a server.
package offline

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
)

// Call is a call. Its context has the metadata and the peer.
type Call struct {
	// Method is the method, "/shop.v1.Cart/Get".
	Method string
	Kind   hauberk.Kind
	// Request is the one request, and Response the one response.
	Request, Response proto.Message
	// Handle runs after the handler has read all requests. If it returns nil, the handler sends the response.
	Handle func(ctx context.Context) error
}

// Serve makes a call and returns its error.
func Serve(ctx context.Context, chain *hauberk.Chain, c Call) error {
	ctx = grpc.NewContextWithServerTransportStream(ctx, transport{c.Method})
	info := &grpc.StreamServerInfo{
		FullMethod: c.Method, IsClientStream: c.Kind.ClientStreams(), IsServerStream: c.Kind.ServerStreams(),
	}
	s := &stream{ctx: ctx, request: c.Request}
	return chain.StreamServerInterceptor()(struct{}{}, s, info, func(_ any, inner grpc.ServerStream) error {
		return c.handle(inner)
	})
}

// handle is the handler of all methods.
func (c Call) handle(s grpc.ServerStream) error {
	request := c.Request.ProtoReflect().New().Interface()
	for {
		err := s.RecvMsg(request)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := c.Handle(s.Context()); err != nil {
		return err
	}
	return s.SendMsg(c.Response)
}

// transport drops the metadata of responses.
type transport struct{ method string }

func (t transport) Method() string             { return t.method }
func (transport) SetHeader(metadata.MD) error  { return nil }
func (transport) SendHeader(metadata.MD) error { return nil }
func (transport) SetTrailer(metadata.MD) error { return nil }

// stream is the transport of a call.
type stream struct {
	ctx     context.Context //nolint:containedctx // Context returns it
	request proto.Message   // nil after it was received
}

func (s *stream) Context() context.Context     { return s.ctx }
func (s *stream) SetHeader(metadata.MD) error  { return nil }
func (s *stream) SendHeader(metadata.MD) error { return nil }
func (s *stream) SetTrailer(metadata.MD)       {}
func (s *stream) SendMsg(any) error            { return nil }

func (s *stream) RecvMsg(msg any) error {
	if s.request == nil {
		return io.EOF
	}
	if to, ok := msg.(proto.Message); ok {
		proto.Reset(to)
		proto.Merge(to, s.request)
	}
	s.request = nil
	return nil
}
