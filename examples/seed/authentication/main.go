// Command authentication is the page's AuthenticationServerInterceptor: a server
// that asks every caller for a token.
package main

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// validate is the page's TokenValidator. It may take its time: each call has a
// goroutine of its own, whereas the page's validator holds up every call of the
// server (B23).
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

// stumble stands further in. That it fails with an error of the same type has nothing
// to do with the caller's token; the page would answer "Invalid token" (B21).
func stumble(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if len(call.Metadata(ctx, "x-stumble")) > 0 {
		return fmt.Errorf("asking the stock service: %w", authn.ErrInvalidToken)
	}
	return next(ctx, call)
}

func main() {
	server := stage.Serve(&hauberktest.Backend{Handle: whoAmI},
		authn.New(validate, authn.Config{}), hauberk.Func(stumble))
	client := server.Client()

	for _, authorization := range [][]string{
		{"Bearer good"},
		{"bearer good"}, // the scheme in any case: RFC 9110, section 11.1 (the page rejects it: B22)
		{"Bearer bad"},
		{"Basic Z29vZA=="},
		{"Bearer bad", "Bearer good"}, // never a choice among tokens (the page takes the last: B22)
		{"Bearer unlucky"},            // UNAVAILABLE, and no address for strangers (the page: UNKNOWN, B20)
	} {
		ctx := metadata.NewOutgoingContext(context.Background(), metadata.MD{"authorization": authorization})
		got, err := stage.Call(ctx, client, hauberk.Unary, "who am I?")
		fmt.Printf("%q: %s %v\n", authorization, stage.Outcome(err), got)
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer good", "x-stumble", "1")
	_, err := stage.Call(ctx, client, hauberk.Unary, "who am I?")
	fmt.Println("further in:", stage.Outcome(err))
	withoutToken(client)
	server.Stop()
}

// withoutToken makes calls whose rejection the page gets wrong: its handler of rejections
// is one for unary calls, which first waits for a message. A stream that is closed
// without one is told UNIMPLEMENTED, one that lets the server speak first waits for its
// deadline (B19). Here a call is rejected before anything of it is read.
func withoutToken(client testpb.TestServiceClient) {
	upload, err := client.ClientStream(context.Background())
	stage.Check(err)
	_, err = upload.CloseAndRecv()
	fmt.Println("no token, empty stream:", stage.Outcome(err))

	talk, err := client.Bidi(context.Background())
	stage.Check(err)
	_, err = talk.Recv()
	fmt.Println("no token, nothing sent yet:", stage.Outcome(err))
}

func whoAmI(ctx context.Context, s hauberktest.Stream) error {
	identity, _ := authn.FromContext(ctx)
	return s.Send(&testpb.Response{Text: identity.Subject})
}
