package gateway_test

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// A gateway with one interceptor in front of an unmodified service.
func Example() {
	upstream, _ := net.Listen("tcp", "127.0.0.1:0")
	service := grpc.NewServer()
	testpb.RegisterTestServiceServer(service, &hauberktest.Backend{})
	go func() { _ = service.Serve(upstream) }()
	defer service.Stop()

	readOnly := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if call.Method().Name() != "Unary" {
			return hauberk.Reject(codes.PermissionDenied, "READ_ONLY", "only Unary may be called")
		}
		return next(ctx, call)
	})
	g, err := gateway.New(gateway.Config{
		Upstream: upstream.Addr().String(),
		Chain:    hauberk.Must(hauberk.New(readOnly)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	lis, _ := net.Listen("tcp", "127.0.0.1:0")
	go func() { _ = g.Serve(lis) }()
	defer g.Stop()

	conn, _ := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	defer conn.Close()
	client := testpb.NewTestServiceClient(conn)

	resp, err := client.Unary(context.Background(), &testpb.Request{Text: "hello"})
	fmt.Println(resp.GetText(), err)
	stream, _ := client.ServerStream(context.Background(), &testpb.Request{})
	_, err = stream.Recv()
	fmt.Println(status.Code(err), hauberk.Reason(err))
	// Output:
	// echo:hello <nil>
	// PermissionDenied READ_ONLY
}
