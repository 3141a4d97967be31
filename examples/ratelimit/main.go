// Command ratelimit limits the calls of each user of a server.
package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

const unknown = "/hauberk.examples.greeter.v1.Greeter/Nonsense"

func main() {
	clock := greeter.NewClock() // the default is the monotonic clock
	auth := authn.New(authn.Config{}, authn.Bearer(validate))
	limit := ratelimit.New(ratelimit.Config{
		Limit: 2, Per: time.Minute, Algorithm: ratelimit.SlidingWindow, By: callkey.State(authn.User),
	}, ratelimit.WithClock(clock.Now))

	// Outside of authentication a limit by user knows no user. New reports that.
	_, err := hauberk.New(limit, auth)
	fmt.Println(err)

	server := greeter.Serve(&greeter.Service{}, auth, limit)
	conn := server.Conn()
	client := greeterpb.NewGreeterClient(conn)
	call := func(user string, kind hauberk.Kind) {
		_, err := greeter.Call(as(user), client, kind, "ann")
		fmt.Printf("%s, %s: %s\n", user, kind, greeter.Outcome(err))
	}

	// A call of an unknown method takes no permit of the user.
	err = conn.Invoke(as("alice"), unknown,
		&greeterpb.HelloRequest{}, &greeterpb.HelloReply{})
	fmt.Println("alice, no such method:", greeter.Outcome(err))
	call("alice", hauberk.Unary)
	call("alice", hauberk.Bidi)
	call("alice", hauberk.Unary)
	call("alice", hauberk.ClientStream) // all kinds are limited
	call("bob", hauberk.Unary)          // has a separate quota

	// A permit returns a minute after it was taken, also if the clock is set back meanwhile.
	clock.Advance(-time.Hour)
	call("alice", hauberk.Unary)
	clock.Advance(59 * time.Second)
	call("alice", hauberk.Unary)
	clock.Advance(time.Second)
	call("alice", hauberk.Unary)
	server.Stop()
}

// as returns a context for calls with the token of a user.
func as(user string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+user)
}

// validate uses the token as the name of the user.
func validate(_ context.Context, token string) (*authn.Identity, error) {
	return &authn.Identity{Subject: token}, nil
}
