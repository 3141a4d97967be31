package forward_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/forward"
)

// A handler calls another service. The tenant travels on, the token does not.
func Example() {
	client := hauberk.Must(hauberk.New(forward.New(forward.Config{Metadata: []string{"x-tenant"}})))
	invoke := client.UnaryClientInterceptor() // in a program: client.DialOptions()
	send := func(ctx context.Context, method string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		md, _ := metadata.FromOutgoingContext(ctx)
		fmt.Println(method, md["x-tenant"], md["authorization"])
		return nil
	}

	handler := func(ctx context.Context, _ any) (any, error) {
		return "done", invoke(ctx, "/shop.v1.Stock/Reserve", "request", new(string), nil, send)
	}
	server := hauberk.Must(hauberk.New()).UnaryServerInterceptor() // in a program: chain.NewServer()
	ctx := metadata.NewIncomingContext(context.Background(),
		metadata.Pairs("x-tenant", "acme", "authorization", "Bearer s3cret"))
	_, _ = server(ctx, "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Add"}, handler)
	// Output:
	// /shop.v1.Stock/Reserve [acme] []
}
