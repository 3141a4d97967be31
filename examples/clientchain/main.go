// Command clientchain runs tokens, a log and retries on one connection, in the right order.
//
// In the order authn, logging, retry, all attempts would send the token of the first one, and
// the log would not contain the calls without a token.
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
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

func main() {
	var issued atomic.Int64
	auth := authn.NewClient(authn.TokenFunc(func(context.Context) (string, error) {
		return fmt.Sprintf("token-%d", issued.Add(1)), nil
	}), authn.ClientConfig{AllowClearText: true})
	log := logging.New(logging.Config{}, logging.WithLogger(greeter.Logger(logging.KeyDuration)),
		logging.State("attempts", retry.Attempt))
	again := retry.New(retry.Config{AllMethods: true, MaxAttempts: 4, InitialBackoff: time.Millisecond})

	// This order is valid but unusual.
	unusual, err := hauberk.New(auth, log, again)
	greeter.Check(err)
	for _, finding := range unusual.Lint(hauberk.ClientSide) {
		fmt.Println("lint:", finding.Message)
	}

	chain, err := hauberk.New(
		log,   // one record for the call, with all its attempts
		again, // the interceptors inside run for each attempt
		auth,  // a fresh token for each attempt
	)
	greeter.Check(err)
	fmt.Println("findings in the usual order:", len(chain.Lint(hauberk.ClientSide)))

	server := greeter.Serve(&greeter.Service{Handle: new(startingUp).serve})
	conn, err := grpc.NewClient(server.Addr,
		chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	greeter.Check(err)
	stub := greeterpb.NewGreeterClient(conn)
	resp, err := stub.Greet(context.Background(), &greeterpb.HelloRequest{}) // logged, authenticated, retried if needed
	greeter.Check(err)
	fmt.Println("the attempt that succeeded sent", resp.GetText())
	greeter.Check(conn.Close())
	server.Stop()
}

// startingUp is a service whose first call fails.
type startingUp struct{ calls atomic.Int64 }

func (s *startingUp) serve(ctx context.Context, stream greeter.Stream) error {
	if s.calls.Add(1) == 1 {
		return status.Error(codes.Unavailable, "starting up")
	}
	authorization := metadata.ValueFromIncomingContext(ctx, "authorization")
	return stream.Send(&greeterpb.HelloReply{Text: fmt.Sprint(authorization)})
}
