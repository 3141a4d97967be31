package decisiontrace_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// An operator and a customer request the decisions on their calls. Only the operator receives them.
func Example() {
	chain := hauberk.Must(hauberk.New(
		decisiontrace.New(decisiontrace.Config{Identities: []string{"ops"}}, decisiontrace.By(authn.User)),
		authn.New(authn.Config{}, authn.Bearer(validate)),
		ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.State(authn.User)}),
	))
	conn, stop := serve(chain)
	defer stop()

	client := testpb.NewTestServiceClient(conn)
	for _, user := range []string{"ops", "ops", "alice"} {
		ctx := metadata.AppendToOutgoingContext(decisiontrace.Ask(context.Background()), "authorization", "Bearer "+user)
		var trailer metadata.MD
		_, err := client.Unary(ctx, &testpb.Request{}, grpc.Trailer(&trailer))
		decisions, parsed := decisiontrace.Parse(trailer)
		fmt.Println(user, hauberk.StatusOf(err).Code(), parsed)
		for _, d := range decisions {
			fmt.Printf("  %s %s %q\n", d.Interceptor, d.Verdict, d.Reason)
		}
	}
	// Output:
	// ops OK <nil>
	//   authn allowed ""
	//   ratelimit allowed ""
	// ops ResourceExhausted <nil>
	//   authn allowed ""
	//   ratelimit rejected "RATE_LIMITED"
	// alice OK <nil>
}

// serve starts an in-memory server and connects to it.
func serve(chain *hauberk.Chain) (conn *grpc.ClientConn, stop func()) {
	listener := bufconn.Listen(1 << 16)
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	go func() { _ = srv.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///shop",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	return conn, func() {
		_ = conn.Close()
		srv.Stop()
	}
}
