// Command authclient is the page's AuthClientInterceptor: every call of the client
// carries a token.
//
// On the page only unary calls do; the other three kinds go out without (B06).
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// tokens is a source of tokens, which is asked for each call anew.
type tokens struct{ issued atomic.Int64 }

func (t *tokens) token(context.Context) (string, error) {
	n := t.issued.Add(1)
	if n == 5 {
		return "", errors.New("the token service is down")
	}
	return fmt.Sprintf("token-%d", n), nil
}

func main() {
	server := stage.Serve(&hauberktest.Backend{Handle: authorization})
	client := server.Client(authn.NewClient(new(tokens).token, authn.ClientConfig{}))
	ctx := context.Background()

	for _, kind := range stage.Kinds() {
		seen, err := stage.Call(ctx, client, kind, "who am I?")
		stage.Check(err)
		fmt.Printf("%s: the server saw %s\n", kind, seen)
	}

	// Without a token nothing is sent, and the call says so with a status.
	_, err := stage.Call(ctx, client, hauberk.Unary, "who am I?")
	fmt.Println("no token:", stage.Outcome(err))

	// The page adds its token to one that the caller has set, and the server gets two
	// (B08). Here the caller's own is sent, and the source is not asked.
	own := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer mine")
	seen, err := stage.Call(own, client, hauberk.Unary, "who am I?")
	stage.Check(err)
	fmt.Println("own token: the server saw", seen)
	server.Stop()
}

// authorization answers with what stands under "authorization".
func authorization(ctx context.Context, s hauberktest.Stream) error {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	return s.Send(&testpb.Response{Text: strings.Join(values, " and ")})
}
