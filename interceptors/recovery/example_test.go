package recovery_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func Example() {
	guard := recovery.New(recovery.Config{}, recovery.WithLogger(exampleLogger()))
	chain := hauberk.Must(hauberk.New(
		guard, // a panic below must become a status
	))

	// A unary call whose handler panics. In a program the chain is carried by
	// chain.NewServer().
	serve := chain.UnaryServerInterceptor()
	handler := func(context.Context, any) (any, error) { panic("no stock for user 42") }
	_, err := serve(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}, handler)
	fmt.Println(err)
	fmt.Println(guard.Panics(), "panic")
	// Output:
	// level=ERROR msg="panic in a call" side=server service=shop.v1.Cart method=Get kind=unary panic_type=string
	// rpc error: code = Internal desc = internal error
	// 1 panic
}

// The record of a panic names the call by its request id, as its other records do.
// With traces, WithAttrs(tracing.LogAttrs) adds their ids.
func ExampleState() {
	chain := hauberk.Must(hauberk.New(
		requestid.New(requestid.Config{}, requestid.WithGenerator(func() string { return "r-1" })),
		recovery.New(recovery.Config{}, recovery.WithLogger(exampleLogger()), recovery.State("request_id", requestid.Key)),
	))
	serve := chain.UnaryServerInterceptor()
	handler := func(context.Context, any) (any, error) { panic("no stock for user 42") }
	_, err := serve(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}, handler)
	fmt.Println(err)
	// Output:
	// level=ERROR msg="panic in a call" side=server service=shop.v1.Cart method=Get kind=unary panic_type=string request_id=r-1
	// rpc error: code = Internal desc = internal error
}

// exampleLogger leaves out what differs from run to run.
func exampleLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == recovery.KeyStack {
				return slog.Attr{}
			}
			return a
		},
	}))
}
