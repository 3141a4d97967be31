package requestid_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// A server accepts the id of its caller.
func Example() {
	serverChain := hauberk.Must(hauberk.New(
		requestid.New(requestid.Config{}), // outermost, so that all inner interceptors find the id
	))

	// A call with an id. A program uses serverChain.NewServer().
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

// The program makes the ids. An id that is not well-formed is replaced.
func ExampleWithGenerator() {
	var made atomic.Int64
	generate := func() string { return fmt.Sprintf("shop-%04d", made.Add(1)) }
	serve := hauberk.Must(hauberk.New(
		requestid.New(requestid.Config{}, requestid.WithGenerator(generate)),
	)).UnaryServerInterceptor()

	handler := func(ctx context.Context, _ any) (any, error) {
		fmt.Println("handled as", requestid.FromContext(ctx))
		return "done", nil
	}
	for range 2 {
		_, err := serve(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}, handler)
		fmt.Println(err)
	}
	// Output:
	// handled as shop-0001
	// <nil>
	// handled as shop-0002
	// <nil>
}

// A server sends the id back, unless the configuration says otherwise. A call that fails
// carries it in the trailer.
func ExampleConfig_echo() {
	for _, config := range []requestid.Config{{}, {Header: "x-correlation-id"}, {NoEcho: true}} {
		conn, stop := start(hauberk.Must(hauberk.New(requestid.New(config))), &hauberktest.Backend{
			Handle: func(context.Context, hauberktest.Stream) error { return status.Error(codes.NotFound, "no such cart") },
		})
		ctx := metadata.AppendToOutgoingContext(context.Background(), "x-request-id", "order-42", "x-correlation-id", "order-43")
		var trailer metadata.MD // the id of a successful call is in the header
		_, err := testpb.NewTestServiceClient(conn).Unary(ctx, &testpb.Request{}, grpc.Trailer(&trailer))
		fmt.Println(status.Code(err), trailer.Get("x-request-id"), trailer.Get("x-correlation-id"))
		stop()
	}
	// Output:
	// NotFound [order-42] []
	// NotFound [] [order-43]
	// NotFound [] []
}

// An outgoing call of a handler has the id of the incoming call.
func Example_forwarding() {
	stock, stopStock := start(hauberk.Must(hauberk.New()), &hauberktest.Backend{
		Handle: func(ctx context.Context, s hauberktest.Stream) error {
			fmt.Println("the stock was asked as", metadata.ValueFromIncomingContext(ctx, "x-request-id"))
			return hauberktest.Echo(ctx, s)
		},
	})
	defer stopStock()
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(requestid.New(requestid.Config{}))).ClientConn(stock))

	shop, stopShop := start(hauberk.Must(hauberk.New(requestid.New(requestid.Config{}))), &hauberktest.Backend{
		Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if _, err := client.Unary(ctx, &testpb.Request{}); err != nil {
				return err
			}
			return hauberktest.Echo(ctx, s)
		},
	})
	defer stopShop()

	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-request-id", "order-42")
	_, err := testpb.NewTestServiceClient(shop).Unary(ctx, &testpb.Request{})
	fmt.Println(err)
	// Output:
	// the stock was asked as [order-42]
	// <nil>
}

// start starts a server in memory and connects to it.
func start(chain *hauberk.Chain, backend *hauberktest.Backend) (conn *grpc.ClientConn, stop func()) {
	listener := bufconn.Listen(1 << 16)
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, backend)
	go func() { _ = srv.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	return conn, func() {
		_ = conn.Close()
		srv.Stop()
	}
}
