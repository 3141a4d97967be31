package hauberktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Stream is a call of any kind in the handler of a [Backend].
type Stream interface {
	// Method returns the full name of the method.
	Method() string
	// Recv returns the next request, and io.EOF after the last.
	Recv() (*testpb.Request, error)
	// Send sends a response. A method with a single response accepts one.
	Send(resp *testpb.Response) error
	// SetHeader, SendHeader and SetTrailer work as in grpc.ServerStream.
	SetHeader(md metadata.MD) error
	SendHeader(md metadata.MD) error
	SetTrailer(md metadata.MD)
}

// Backend is an implementation of the test service with one handler for its four methods. The
// zero value echoes: see [Echo]. Several servers can use the same Backend.
type Backend struct {
	testpb.UnimplementedTestServiceServer

	// Handle serves every call. nil means [Echo].
	Handle func(ctx context.Context, s Stream) error
}

// Echo is a handler that answers each request with "echo:" and the request's text. If Count is
// set, it sends that many responses to the request. A single response contains the texts of all
// requests, joined by commas.
func Echo(_ context.Context, s Stream) error {
	single := strings.HasSuffix(s.Method(), "/Unary") || strings.HasSuffix(s.Method(), "/ClientStream")
	var texts []string
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if single {
			texts = append(texts, req.GetText())
			continue
		}
		if err := echo(s, req); err != nil {
			return err
		}
	}
	if !single {
		return nil
	}
	return s.Send(&testpb.Response{Text: "echo:" + strings.Join(texts, ",")})
}

func echo(s Stream, req *testpb.Request) error {
	for i := range max(req.GetCount(), 1) {
		if err := s.Send(&testpb.Response{Text: "echo:" + req.GetText(), Index: i}); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backend) handle(ctx context.Context, s Stream) error {
	if b.Handle == nil {
		return Echo(ctx, s)
	}
	return b.Handle(ctx, s)
}

// Unary serves the unary method.
func (b *Backend) Unary(ctx context.Context, req *testpb.Request) (*testpb.Response, error) {
	s := &singleStream{ctx: ctx, method: testpb.TestService_Unary_FullMethodName, req: req}
	if err := b.handle(ctx, s); err != nil {
		return nil, err
	}
	return s.resp, nil
}

// ClientStream serves the client-streaming method.
func (b *Backend) ClientStream(stream grpc.ClientStreamingServer[testpb.Request, testpb.Response]) error {
	s := &manyStream{ServerStream: stream, method: testpb.TestService_ClientStream_FullMethodName}
	return b.handle(stream.Context(), s)
}

// ServerStream serves the server-streaming method.
func (b *Backend) ServerStream(req *testpb.Request, stream grpc.ServerStreamingServer[testpb.Response]) error {
	s := &manyStream{
		ServerStream: stream, method: testpb.TestService_ServerStream_FullMethodName, req: req, single: true,
	}
	return b.handle(stream.Context(), s)
}

// Bidi serves the bidirectional method.
func (b *Backend) Bidi(stream grpc.BidiStreamingServer[testpb.Request, testpb.Response]) error {
	s := &manyStream{ServerStream: stream, method: testpb.TestService_Bidi_FullMethodName}
	return b.handle(stream.Context(), s)
}

// singleStream implements Stream for a unary call.
type singleStream struct {
	ctx    context.Context
	method string
	req    *testpb.Request
	resp   *testpb.Response
}

func (s *singleStream) Method() string { return s.method }

func (s *singleStream) Recv() (*testpb.Request, error) {
	req := s.req
	s.req = nil
	if req == nil {
		return nil, io.EOF
	}
	return req, nil
}

func (s *singleStream) Send(resp *testpb.Response) error {
	if s.resp != nil {
		return fmt.Errorf("hauberktest: a second response of %s", s.method)
	}
	s.resp = resp
	return nil
}

func (s *singleStream) SetHeader(md metadata.MD) error  { return grpc.SetHeader(s.ctx, md) }
func (s *singleStream) SendHeader(md metadata.MD) error { return grpc.SendHeader(s.ctx, md) }
func (s *singleStream) SetTrailer(md metadata.MD)       { _ = grpc.SetTrailer(s.ctx, md) }

// manyStream implements Stream for a streaming call.
type manyStream struct {
	grpc.ServerStream

	method string
	req    *testpb.Request
	single bool // the method has one request, which is already read
}

func (s *manyStream) Method() string { return s.method }

func (s *manyStream) Recv() (*testpb.Request, error) {
	if s.single {
		req := s.req
		s.req = nil
		if req == nil {
			return nil, io.EOF
		}
		return req, nil
	}
	req := new(testpb.Request)
	return req, s.RecvMsg(req)
}

func (s *manyStream) Send(resp *testpb.Response) error { return s.SendMsg(resp) }
