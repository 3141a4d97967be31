package ratelimitrls_test

import (
	"context"
	"fmt"
	"net"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitrls"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// Two nodes of a service share a limit through a rate limit server.
func Example() {
	limits, err := rlsserver.New(rlsserver.Config{Domains: []rlsserver.Domain{{Name: "shop"}}, Overrides: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := grpc.NewServer()
	rlsv3.RegisterRateLimitServiceServer(srv, limits)
	lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	node := func() func(context.Context) error {
		return hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(ratelimit.New(
			ratelimit.Config{
				Limit: 3, Per: time.Minute, By: callkey.Method(), Shared: ratelimit.Shared{Timeout: time.Minute},
			},
			ratelimit.WithStore(ratelimitrls.New(conn, ratelimitrls.Config{Domain: "shop"})),
		))))
	}
	one, other := node(), node()
	for _, call := range []func(context.Context) error{one, other, one, other} {
		fmt.Println(status.Code(call(context.Background())))
	}
	// Output:
	// OK
	// OK
	// OK
	// ResourceExhausted
}
