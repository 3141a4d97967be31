package version_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/version"
)

// Old clients learn what to upgrade to.
func Example() {
	gate := version.New(version.Config{Rules: []version.Rule{
		{Client: "shop-cli", Versions: ">=1.4, !=1.6.0", Upgrade: "shop-cli 1.8"},
	}})
	chain := hauberk.Must(hauberk.New(gate)) // in a program: chain.NewServer()
	serve := hauberktest.Direct{Kind: hauberk.Unary}.Server(chain)
	for _, agent := range []string{"shop-cli/1.8.2 grpc-go/1.85.0", "shop-cli/1.6.0 grpc-go/1.85.0", "grpc-python/1.85.1"} {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("user-agent", agent))
		fmt.Println(status.Convert(serve(ctx)).Message())
	}
	for _, c := range gate.Snapshot() {
		fmt.Println(c.Client, c.Version, c.Calls, c.Rejected)
	}
	// Output:
	//
	// Version 1.6.0 of shop-cli is not supported; upgrade to shop-cli 1.8
	//
	// other  1 0
	// shop-cli 1.6 1 1
	// shop-cli 1.8 1 0
}
