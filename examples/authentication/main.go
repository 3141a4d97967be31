// Command authentication requires a token for every call of a server.
package main

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// validate runs on the goroutine of the call, so that a slow one delays only its own call.
func validate(_ context.Context, token string) (*authn.Identity, error) {
	switch token {
	case "good":
		return &authn.Identity{Subject: "alice"}, nil
	case "unlucky":
		return nil, errors.New("dial tcp 10.0.0.7:5432: connection refused")
	default:
		return nil, authn.ErrInvalidToken
	}
}

// failInside is an inner interceptor. Its error is not about the token of the caller, although
// it has the same type.
func failInside(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if len(call.Metadata(ctx, "x-fail")) > 0 {
		return fmt.Errorf("asking the stock service: %w", authn.ErrInvalidToken)
	}
	return next(ctx, call)
}

func main() {
	server := greeter.Serve(&greeter.Service{Handle: whoAmI},
		authn.New(authn.Config{}, authn.Bearer(validate)), hauberk.Func(failInside))
	client := server.Client()

	for _, authorization := range [][]string{
		{"Bearer good"},
		{"bearer good"}, // the scheme in any case: RFC 9110, section 11.1
		{"Bearer bad"},
		{"Basic Z29vZA=="},
		{"Bearer bad", "Bearer good"}, // no choice among tokens
		{"Bearer unlucky"},            // UNAVAILABLE: the caller does not receive the address
	} {
		ctx := metadata.NewOutgoingContext(context.Background(), metadata.MD{"authorization": authorization})
		got, err := greeter.Call(ctx, client, hauberk.Unary, "who am I?")
		fmt.Printf("%q: %s %v\n", authorization, greeter.Outcome(err), got)
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer good", "x-fail", "1")
	_, err := greeter.Call(ctx, client, hauberk.Unary, "who am I?")
	fmt.Println("inner error:", greeter.Outcome(err))
	withoutToken(client)
	server.Stop()
}

// withoutToken makes streams without a token. They are rejected before a message is read, so
// that a client that waits for the server is not left waiting.
func withoutToken(client greeterpb.GreeterClient) {
	upload, err := client.GreetAll(context.Background())
	greeter.Check(err)
	_, err = upload.CloseAndRecv()
	fmt.Println("no token, empty stream:", greeter.Outcome(err))

	talk, err := client.Chat(context.Background())
	greeter.Check(err)
	_, err = talk.Recv()
	fmt.Println("no token, nothing sent yet:", greeter.Outcome(err))
}

func whoAmI(ctx context.Context, s greeter.Stream) error {
	identity, _ := authn.FromContext(ctx)
	return s.Send(&greeterpb.HelloReply{Text: identity.Subject})
}
