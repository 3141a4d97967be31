package hauberktest

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Direct makes calls of the test service without a network, on the caller's goroutine. It adds
// almost nothing to the cost of the chain. It is for benchmarks and counts of allocations, where
// servers, connections and encoding would hide the cost of an interceptor, and for tests that
// make very many calls. Compare the result with that of a chain without the interceptor. To test
// the behaviour of an interceptor, use [Matrix]. The zero value makes a unary call that ends
// with OK.
//
// The functions that its methods return are safe for concurrent use if the service, Decode and
// Conn are, and if the chain's interceptors do not change messages.
type Direct struct {
	// Kind is the kind of the method.
	Kind hauberk.Kind
	// Service serves the calls of Server. If it is nil, the handler reads all requests and
	// answers with one empty response, the same in each call.
	Service testpb.TestServiceServer
	// Decode decodes a request in Server: it fills msg or returns an error. If it is nil,
	// requests are empty.
	Decode func(msg any) error
	// Conn answers the calls of Client. The zero value answers with OK.
	Conn Conn
}

// Server returns a function that serves one call behind a chain, as a grpc-go server does after
// it has found the method. The call has one request. Its context is the argument of the
// function; metadata, peer and [TransportStream] are those that the caller adds to it. The
// function returns the error from which grpc-go would make the status. Responses are dropped.
func (d Direct) Server(chain *hauberk.Chain) func(ctx context.Context) error {
	var registered registrar
	testpb.RegisterTestServiceServer(chain.Registrar(&registered), d.service())
	decode := d.Decode
	if decode == nil {
		decode = func(any) error { return nil }
	}
	if d.Kind == hauberk.Unary {
		return registered.unary(decode)
	}
	return registered.stream(d.Kind, decode)
}

func (d Direct) service() testpb.TestServiceServer {
	if d.Service == nil {
		return newFixed()
	}
	return d.Service
}

// Client returns a function that makes one call through a chain to Conn, with one request, and
// receives until the call ends. All calls share one request message and one response message.
func (d Direct) Client(chain *hauberk.Chain, opts ...grpc.CallOption) func(ctx context.Context) error {
	conn, method := chain.ClientConn(d.Conn), FullMethod(d.Kind)
	req, resp := new(testpb.Request), new(testpb.Response)
	if d.Kind == hauberk.Unary {
		return func(ctx context.Context) error { return conn.Invoke(ctx, method, req, resp, opts...) }
	}
	desc := &grpc.StreamDesc{ClientStreams: d.Kind.ClientStreams(), ServerStreams: d.Kind.ServerStreams()}
	return func(ctx context.Context) error {
		stream, err := conn.NewStream(ctx, desc, method, opts...)
		if err != nil {
			return err
		}
		return exchange(stream, req, resp, desc.ServerStreams)
	}
}

// exchange sends one request and reads a stream to its end.
func exchange(stream grpc.ClientStream, req, resp any, many bool) error {
	err := stream.SendMsg(req)
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil && !errors.Is(err, io.EOF) { // RecvMsg returns the status
		return err
	}
	for err = stream.RecvMsg(resp); err == nil && many; { // after a single response there is no end to receive
		err = stream.RecvMsg(resp)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// registrar receives the service that a chain registers, and runs its handlers.
type registrar struct {
	desc *grpc.ServiceDesc
	impl any
}

func (r *registrar) RegisterService(desc *grpc.ServiceDesc, impl any) { r.desc, r.impl = desc, impl }

func (r *registrar) unary(decode func(any) error) func(context.Context) error {
	handle := r.desc.Methods[0].Handler
	return func(ctx context.Context) error {
		_, err := handle(r.impl, ctx, decode, nil)
		return err
	}
}

func (r *registrar) stream(kind hauberk.Kind, decode func(any) error) func(context.Context) error {
	for _, s := range r.desc.Streams {
		if hauberk.KindOf(s.ClientStreams, s.ServerStreams) == kind {
			return func(ctx context.Context) error {
				return s.Handler(r.impl, &ServerStream{Ctx: ctx, Requests: 1, Decode: decode})
			}
		}
	}
	panic("hauberktest: the test service has no method of kind " + kind.String())
}

// fixed answers every call with the same response. Its unary method allocates nothing.
type fixed struct {
	Backend

	response *testpb.Response
}

func newFixed() *fixed {
	f := &fixed{response: new(testpb.Response)}
	f.Handle = f.answer
	return f
}

// Unary returns the response.
func (f *fixed) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	return f.response, nil
}

// answer serves the streaming methods.
func (f *fixed) answer(_ context.Context, s Stream) error {
	for {
		_, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.Send(f.response)
		}
		if err != nil {
			return err
		}
	}
}
