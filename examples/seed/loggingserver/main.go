// Command loggingserver is the page's LoggingServerInterceptor: a record of every
// call that a server gets, with its request id and user.
//
// The page has a wrapper for two of the four kinds, and no record of the others
// (B25). A call that is cancelled leaves none either (B26), a call ended by abort is
// logged without its code and one ended by set_code as completed (B27).
package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func main() {
	clock := hauberktest.NewClock() // so that durations are the same in each run
	server := stage.Serve(stage.Shop(clock),
		requestid.New(requestid.Config{}, requestid.WithGenerator(numbered())),
		logging.New(logging.Config{}, logging.WithLogger(stage.Logger("level", "msg",
			logging.KeySystem, logging.KeySide, logging.KeyService)),
			logging.WithClock(clock.Now),
			logging.State("request_id", requestid.Key),
			// The user is found out further in, so that rejections are logged too. State flows
			// outward as well: what an interceptor has set, those further out read after next.
			logging.State("user", authn.User)),
		authn.New(validate, authn.Config{}),
	)
	client := server.Client()
	alice := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer alices-token")

	for _, kind := range stage.Kinds() {
		_, err := stage.Call(alice, client, kind, "tea", "cups")
		stage.Check(err)
	}
	_, _ = stage.Call(alice, client, hauberk.ServerStream, "fail")
	_, _ = stage.Call(context.Background(), client, hauberk.ServerStream, "tea")
	cancelled(alice, client)
	server.Stop() // returns when the last call has ended, and its record is written
}

// cancelled gives a stream up after its first message.
func cancelled(ctx context.Context, client testpb.TestServiceClient) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := client.ServerStream(ctx, &testpb.Request{Text: "wait"})
	stage.Check(err)
	_, err = stream.Recv()
	stage.Check(err)
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
