// Command ratelimit is the page's RateLimitingServerInterceptor: a limit for each
// user.
package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

func main() {
	clock := hauberktest.NewClock() // a program needs none: the default is the monotonic clock
	auth := authn.New(validate, authn.Config{})
	limit := ratelimit.New(ratelimit.Config{
		Limit: 2, Per: time.Minute, Algorithm: ratelimit.SlidingWindow, By: ratelimit.ByState(authn.User),
	}, ratelimit.WithClock(clock.Now))

	// On the page a limiter that stands outside authentication knows no one, and all
	// callers share the quota of "anonymous" (B29). Here that is no chain.
	_, err := hauberk.New(limit, auth)
	fmt.Println(err)

	server := stage.Serve(&hauberktest.Backend{}, auth, limit)
	conn := server.Conn()
	client := testpb.NewTestServiceClient(conn)
	call := func(user string, kind hauberk.Kind) {
		_, err := stage.Call(as(user), client, kind, "tea")
		fmt.Printf("%s, %s: %s\n", user, kind, stage.Outcome(err))
	}

	// The page charges calls of methods that do not exist (B31).
	err = conn.Invoke(as("alice"), "/hauberk.test.v1.TestService/Nonsense", &testpb.Request{}, &testpb.Response{})
	fmt.Println("alice, no such method:", stage.Outcome(err))
	call("alice", hauberk.Unary)
	call("alice", hauberk.Bidi)
	call("alice", hauberk.Unary)
	call("alice", hauberk.ClientStream) // a stream is rejected as a stream (the page may answer UNIMPLEMENTED: B30)
	call("bob", hauberk.Unary)          // has a quota of his own

	// The page counts in minutes of the clock on the wall: two quotas pass around the turn
	// of a minute (B28), and another whenever the clock is set back (B32). Here a permit
	// comes back a minute after it was taken, whatever the clock on the wall says.
	clock.Advance(-time.Hour)
	call("alice", hauberk.Unary)
	clock.Advance(59 * time.Second)
	call("alice", hauberk.Unary)
	clock.Advance(time.Second)
	call("alice", hauberk.Unary)
	server.Stop()
}

// as is the context of calls with a user's token.
func as(user string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+user)
}

// validate takes every token for the name of a user.
func validate(_ context.Context, token string) (*authn.Identity, error) {
	return &authn.Identity{Subject: token}, nil
}
