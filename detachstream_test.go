package hauberk_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// A service without generated code can have a unary method whose handler takes a stream. Its calls can be detached as
// those of other unary methods.
func TestDetachStreamHandler(t *testing.T) {
	failure := status.Error(codes.NotFound, "no")
	var left grpc.ServerStream
	for _, tt := range []struct {
		name    string
		inner   hauberk.Interceptor
		handler func(stream grpc.ServerStream) error
		code    codes.Code
		called  bool
		handled error // what Handled reports
	}{
		{"answer", nil, func(stream grpc.ServerStream) error {
			_ = stream.SetHeader(metadata.Pairs("h", "1"))
			_ = stream.SendHeader(metadata.Pairs("h", "2"))
			stream.SetTrailer(metadata.Pairs("t", "1"))
			left = stream
			return echoOne(stream)
		}, codes.OK, true, nil},
		{"error", nil, func(grpc.ServerStream) error { return failure }, codes.NotFound, true, failure},
		{"no response", nil, func(grpc.ServerStream) error { return nil }, codes.Internal, true, nil},
		{"two responses", nil, func(stream grpc.ServerStream) error {
			if err := echoOne(stream); err != nil {
				return err
			}
			_ = stream.SendMsg(&testpb.Response{})
			return nil
		}, codes.Internal, true, nil},
		{"rejected request", hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(any) (bool, error) { return false, hauberk.Reject(codes.InvalidArgument, "BAD", "bad") })
			return next(ctx, call)
		}), echoOne, codes.InvalidArgument, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			detaching := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				inside, copied, err := call.Detach(context.WithoutCancel(ctx))
				if err != nil {
					return err
				}
				done := make(chan error)
				go func() { done <- next(inside, copied) }()
				err = <-done
				called, handled := copied.Handled()
				if called != tt.called || tt.handled != nil && !errors.Is(handled, tt.handled) {
					t.Errorf("Handled returned %t, %v", called, handled)
				}
				call.Adopt(copied)
				return err
			})
			all := []hauberk.Interceptor{detaching}
			if tt.inner != nil {
				all = append(all, tt.inner)
			}
			conn := serveUnaryStream(t, hauberk.Must(hauberk.New(all...)), tt.handler)
			var header, trailer metadata.MD
			response := new(testpb.Response)
			err := conn.Invoke(t.Context(), "/by.Hand/Unary", &testpb.Request{Text: "a"}, response,
				grpc.Header(&header), grpc.Trailer(&trailer))
			if status.Code(err) != tt.code {
				t.Errorf("%v; want %s", err, tt.code)
			}
			if tt.code == codes.OK && (response.GetText() != "echo:a" ||
				!slices.Equal(header.Get("h"), []string{"1", "2"}) || !slices.Equal(trailer.Get("t"), []string{"1"})) {
				t.Errorf("response %q, header %v, trailer %v", response.GetText(), header, trailer)
			}
		})
	}
	if err := left.SendMsg(&testpb.Response{}); status.Code(err) != codes.Canceled {
		t.Errorf("after the handler SendMsg returned %v", err)
	}
	if err := left.RecvMsg(&testpb.Request{}); status.Code(err) != codes.Canceled {
		t.Errorf("after the handler RecvMsg returned %v", err)
	}
}

// echoOne answers the single request.
func echoOne(stream grpc.ServerStream) error {
	var request testpb.Request
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	if err := stream.RecvMsg(new(testpb.Request)); !errors.Is(err, io.EOF) {
		return status.Errorf(codes.DataLoss, "the second receive returned %v", err)
	}
	response := &testpb.Response{Text: "echo:" + request.GetText()}
	err := stream.SendMsg(response)
	response.Text = "used again"
	return err
}

// serveUnaryStream serves by.Hand/Unary with a handler of streams.
func serveUnaryStream(t *testing.T, chain *hauberk.Chain, handler func(stream grpc.ServerStream) error) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	srv := chain.NewServer()
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "by.Hand", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "Unary",
			Handler:    func(_ any, stream grpc.ServerStream) error { return handler(stream) },
		}},
	}, requestOfHand{})
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// requestOfHand is the implementation of a service without generated code that has the type of its request.
type requestOfHand struct{}

func (requestOfHand) MethodDescriptor() protoreflect.MethodDescriptor { return nil }
func (requestOfHand) Known() bool                                     { return true }
func (requestOfHand) NewRequest() (any, error)                        { return new(testpb.Request), nil }
