// Command composedchannel is the page's create_intercepted_channel: tokens, a log
// and retries on one connection, each where it belongs.
//
// The page lists them as Auth, Logging, Retry. Even with a retry that works, all
// attempts would carry the token that was fetched for the first (B40), and calls for
// which there was no token would not be in the log.
package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

func main() {
	var issued atomic.Int64
	auth := authn.NewClient(func(context.Context) (string, error) {
		return fmt.Sprintf("token-%d", issued.Add(1)), nil
	}, authn.ClientConfig{})
	log := logging.New(logging.Config{}, logging.WithLogger(stage.Logger(logging.KeyDuration)),
		logging.State("attempts", retry.Attempt))
	again := retry.New(retry.Config{AllMethods: true, MaxAttempts: 4, InitialBackoff: time.Millisecond})

	// A chain in the page's order is a good chain, but not a usual one.
	onThePage, err := hauberk.New(auth, log, again)
	stage.Check(err)
	for _, finding := range onThePage.Lint(hauberk.ClientSide) {
		fmt.Println("lint:", finding.Message)
	}

	chain, err := hauberk.New(
		log,   // one record a call, however many attempts it takes
		again, // makes what stands inside run for each attempt
		auth,  // a fresh token for each attempt
	)
	stage.Check(err)
	fmt.Println("findings in the other order:", len(chain.Lint(hauberk.ClientSide)))

	server := stage.Serve(&hauberktest.Backend{Handle: new(startingUp).serve})
	conn, err := grpc.NewClient(server.Addr,
		chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	stage.Check(err)
	stub := testpb.NewTestServiceClient(conn)
	resp, err := stub.Unary(context.Background(), &testpb.Request{}) // logged, authenticated, retried if needed
	stage.Check(err)
	fmt.Println("the attempt that succeeded sent", resp.GetText())
	stage.Check(conn.Close())
	server.Stop()
}

// startingUp is a service whose first call fails.
type startingUp struct{ calls atomic.Int64 }

func (s *startingUp) serve(ctx context.Context, stream hauberktest.Stream) error {
	if s.calls.Add(1) == 1 {
		return status.Error(codes.Unavailable, "starting up")
	}
	authorization := metadata.ValueFromIncomingContext(ctx, "authorization")
	return stream.Send(&testpb.Response{Text: fmt.Sprint(authorization)})
}
