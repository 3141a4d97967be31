package hauberktest_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// An interceptor allocates the difference to a chain without it.
func ExampleDirect() {
	key := hauberk.NewKey[string]("tenant")
	tenant := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		key.Set(call, "acme")
		return next(ctx, call)
	})
	count := func(interceptors ...hauberk.Interceptor) float64 {
		call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(interceptors...)))
		return testing.AllocsPerRun(100, func() { _ = call(context.Background()) })
	}
	fmt.Println(count(tenant) - count())
	// Output: 1
}

// Client calls fail without a server.
func ExampleConn() {
	down := hauberktest.Conn{Outcome: func(method string) error {
		return status.Error(codes.Unavailable, method+" is down")
	}}
	call := hauberktest.Direct{Kind: hauberk.Bidi, Conn: down}.Client(hauberk.Must(hauberk.New()))
	fmt.Println(call(context.Background()))
	// Output: rpc error: code = Unavailable desc = /hauberk.test.v1.TestService/Bidi is down
}

// The test reads a header that an interceptor sets, without a client.
func ExampleTransportStream() {
	greet := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := call.SetHeader(metadata.Pairs("greeting", "hello")); err != nil {
			return err
		}
		return next(ctx, call)
	})
	var transport hauberktest.TransportStream
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), &transport)
	fmt.Println(hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(greet)))(ctx), transport.Header.Get("greeting"))
	// Output: <nil> [hello]
}
