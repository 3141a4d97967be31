package hauberktest

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Direct makes calls of the test service without a network, on the goroutine that
// makes them: the chain under test, and next to nothing around it. It is for
// benchmarks and counts of allocations, where servers, connections and encoding
// would hide what an interceptor costs, and for tests that make very many calls.
// Compare with a chain without the interceptor; what a call means on the wire is for
// [Matrix]. The zero value is a unary call that ends with OK.
//
// The functions that its methods return may be used by many goroutines at once, if
// the service, Decode and Conn may, and the chain's interceptors do not change messages.
type Direct struct {
	// Kind is the kind of method that is called.
	Kind hauberk.Kind
	// Service serves the calls of Server; nil stands for one that reads all requests
	// and answers them with one response, always the same, which has nothing set.
	Service testpb.TestServiceServer
	// Decode stands for the decoding of a request in Server. It is given the message
	// to fill, and may fail; nil leaves messages as they are made, with nothing set.
	Decode func(msg any) error
	// Conn answers the calls of Client.
	Conn Conn
}

// Server returns a function that serves one call behind a chain, as a server of
// grpc-go does once it knows the method: with one request, and the context that the
// function is given for that of the incoming call. That context has metadata, peer
// and [TransportStream] if the caller put them there. The function returns what
// grpc-go would make the call's status of; responses are dropped.
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

// Client returns a function that makes one call through a chain, to Conn, with one
// request, and reads it to its end. Request and response are the same at every call.
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
	if err != nil && !errors.Is(err, io.EOF) { // which is for RecvMsg to explain
		return err
	}
	for err = stream.RecvMsg(resp); err == nil && many; { // one response has no end to read
		err = stream.RecvMsg(resp)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// registrar catches the service that a chain registers, whose handlers it runs.
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

// fixed answers every call with the same response, and a unary one at the cost of
// no allocation.
type fixed struct {
	Backend

	response *testpb.Response
}

func newFixed() *fixed {
	f := &fixed{response: new(testpb.Response)}
	f.Handle = f.answer
	return f
}

// Unary answers at once.
func (f *fixed) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	return f.response, nil
}

// answer serves the kinds that stream.
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
