// Command composedserver is the page's create_server_with_interceptors: request ids,
// authentication, a limit and a log on one server, each where it belongs.
//
// The page has the log innermost, so that it tells of no call that was rejected; its
// metrics have the same fault (B37). Nothing there checks the order. Here Lint does,
// and Explain says what runs.
package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

const public = "hauberk.test.v1.TestService/ServerStream" // for callers without a token

func newServer() *hauberk.Server {
	ids := requestid.New(requestid.Config{})
	auth := authn.New(validate, authn.Config{})
	limit := ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Minute, By: ratelimit.ByState(authn.User)})
	log := logging.New(logging.Config{}, logging.State("user", authn.User),
		logging.WithLogger(stage.Logger("level", "msg",
			logging.KeyDuration, logging.KeySystem, logging.KeySide, logging.KeyService)))

	onThePage, err := hauberk.New(ids, auth, limit, log)
	stage.Check(err)
	for _, finding := range onThePage.Lint(hauberk.ServerSide) {
		fmt.Println("lint:", finding.Message)
	}

	// Serve wants every method to be authenticated or public.
	chain, err := hauberk.Config{Public: []string{public}}.New(
		ids,                             // outermost: all that follows can name the call
		log,                             // sees every call, rejected ones too
		recovery.New(recovery.Config{}), // a panic further in ends its call, not the server
		auth,                            // says whose call it is
		limit,                           // counts by user, so inside authentication; leaves public methods alone
	)
	stage.Check(err)
	explanation, err := chain.Explain(public)
	stage.Check(err)
	fmt.Print(explanation)
	return chain.NewServer() // a *grpc.Server, with a goroutine for each call in place of max_workers
}

func main() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	stage.Check(err)
	server := newServer()
	testpb.RegisterTestServiceServer(server, &hauberktest.Backend{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()

	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	stage.Check(err)
	client := testpb.NewTestServiceClient(conn)
	alice := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer alice")
	for _, ctx := range []context.Context{alice, context.Background()} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			_, err := stage.Call(ctx, client, kind, "tea")
			fmt.Println(stage.Outcome(err))
		}
	}
	stage.Check(conn.Close())
	server.GracefulStop()
	stage.Check(<-served)
}

// validate takes every token for the name of a user.
func validate(_ context.Context, token string) (*authn.Identity, error) {
	return &authn.Identity{Subject: token}, nil
}
