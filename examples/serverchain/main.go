// Command serverchain runs request IDs, a log, authentication and a limit on one server, in the
// right order. Lint checks the order, and Explain returns what runs for a method.
//
// If the log is innermost, it does not contain the calls that are rejected.
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
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

const public = "hauberk.examples.greeter.v1.Greeter/GreetOften" // for callers without a token

func newServer() *hauberk.Server {
	ids := requestid.New(requestid.Config{})
	auth := authn.New(authn.Config{}, authn.Bearer(validate))
	limit := ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Minute, By: callkey.State(authn.User)})
	log := logging.New(logging.Config{}, logging.State("user", authn.User),
		logging.WithLogger(greeter.Logger("level", "msg",
			logging.KeyDuration, logging.KeySystem, logging.KeySide, logging.KeyService)))

	unusual, err := hauberk.New(ids, auth, limit, log)
	greeter.Check(err)
	for _, finding := range unusual.Lint(hauberk.ServerSide) {
		fmt.Println("lint:", finding.Message)
	}

	// Serve fails if a method is neither authenticated nor public.
	chain, err := hauberk.Config{Public: []string{public}}.New(
		ids,                             // outermost: the others can log the id
		log,                             // sees every call, rejected ones too
		recovery.New(recovery.Config{}), // a panic inside ends its call, not the process
		auth,                            // sets the user
		limit,                           // counts by user, so it runs inside authn; public methods do not count
	)
	greeter.Check(err)
	explanation, err := chain.Explain(public)
	greeter.Check(err)
	fmt.Print(explanation)
	return chain.NewServer()
}

func main() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	greeter.Check(err)
	server := newServer()
	greeterpb.RegisterGreeterServer(server, &greeter.Service{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()

	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	greeter.Check(err)
	client := greeterpb.NewGreeterClient(conn)
	alice := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer alice")
	for _, ctx := range []context.Context{alice, context.Background()} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			_, err := greeter.Call(ctx, client, kind, "ann")
			fmt.Println(greeter.Outcome(err))
		}
	}
	greeter.Check(conn.Close())
	server.GracefulStop()
	greeter.Check(<-served)
}

// validate uses the token as the name of the user.
func validate(_ context.Context, token string) (*authn.Identity, error) {
	return &authn.Identity{Subject: token}, nil
}
