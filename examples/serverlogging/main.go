// Command serverlogging writes a record of every call of a server, with its request ID and
// user. Calls that are rejected or cancelled have a record too.
package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func main() {
	clock := greeter.NewClock() // durations are equal in each run
	server := greeter.Serve(greeter.Slow(clock),
		requestid.New(requestid.Config{}, requestid.WithGenerator(numbered())),
		logging.New(logging.Config{}, logging.WithLogger(greeter.Logger("level", "msg",
			logging.KeySystem, logging.KeySide, logging.KeyService)),
			logging.WithClock(clock.Now),
			logging.State("request_id", requestid.Key),
			// authn is an inner interceptor, so that rejections are logged too. Outer interceptors
			// read state after next.
			logging.State("user", authn.User)),
		authn.New(authn.Config{}, authn.Bearer(validate)),
	)
	client := server.Client()
	alice := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer alices-token")

	for _, kind := range greeter.Kinds() {
		_, err := greeter.Call(alice, client, kind, "ann", "bob")
		greeter.Check(err)
	}
	_, _ = greeter.Call(alice, client, hauberk.ServerStream, "fail")
	_, _ = greeter.Call(context.Background(), client, hauberk.ServerStream, "ann")
	cancelled(alice, client)
	server.Stop() // returns when the last record is written
}

// cancelled cancels a stream after its first message.
func cancelled(ctx context.Context, client greeterpb.GreeterClient) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := client.GreetOften(ctx, &greeterpb.HelloRequest{Name: "wait"})
	greeter.Check(err)
	_, err = stream.Recv()
	greeter.Check(err)
	cancel()
}

func validate(_ context.Context, token string) (*authn.Identity, error) {
	if token != "alices-token" {
		return nil, authn.ErrInvalidToken
	}
	return &authn.Identity{Subject: "alice"}, nil
}

func numbered() func() string {
	var n atomic.Int64
	return func() string { return fmt.Sprintf("r-%d", n.Add(1)) }
}
