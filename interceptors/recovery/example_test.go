package recovery_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func Example() {
	guard := recovery.New(recovery.Config{}, recovery.WithLogger(exampleLogger()))
	chain := hauberk.Must(hauberk.New(
		guard, // turns a panic of the handler into a status
	))

	// A unary call whose handler panics. A program uses chain.NewServer().
	serve := chain.UnaryServerInterceptor()
	handler := func(context.Context, any) (any, error) { panic("no stock for user 42") }
	_, err := serve(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}, handler)
	fmt.Println(err)
	fmt.Println(guard.Panics(), "panic")
	// Output:
	// level=ERROR msg="panic in a call" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary exception.type=string panic_at="example_test.go:27 recovery_test.Example.func1"
	// rpc error: code = Internal desc = internal error
	// 1 panic
}

// The record of a panic has the request id of the call, like the other records of the
// call. For traces WithAttrs(tracing.LogAttrs) adds the ids.
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
	// level=ERROR msg="panic in a call" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary exception.type=string request_id=r-1 panic_at="example_test.go:45 recovery_test.ExampleState.func2"
	// rpc error: code = Internal desc = internal error
}

// exampleLogger leaves out attributes that differ from run to run, and directories.
func exampleLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, recovery.KeyStack:
				return slog.Attr{}
			case recovery.KeyPanicAt:
				line, function, _ := strings.Cut(a.Value.String(), " ")
				return slog.String(a.Key, filepath.Base(line)+" "+path.Base(function))
			}
			return a
		},
	}))
}
