package requestid_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func Example() {
	serverChain := hauberk.Must(hauberk.New(
		requestid.New(requestid.Config{}), // outermost: everything inside finds the id
	))

	// The chain of a server that is called with an id. In a program it is carried
	// by serverChain.NewServer().
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("x-request-id", "order-42"))
	handler := func(ctx context.Context, _ any) (any, error) {
		fmt.Println("handled as", requestid.FromContext(ctx))
		return "done", nil
	}
	serve := serverChain.UnaryServerInterceptor()
	_, err := serve(ctx, "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}, handler)
	fmt.Println(err)
	// Output:
	// handled as order-42
	// <nil>
}
