// Command clienttoken adds a token to every call of a client, of any kind.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// tokens is a source of tokens. It issues a new one for each call.
type tokens struct{ issued atomic.Int64 }

func (t *tokens) token(context.Context) (string, error) {
	n := t.issued.Add(1)
	if n == 5 {
		return "", errors.New("the token service is down")
	}
	return fmt.Sprintf("token-%d", n), nil
}

func main() {
	server := greeter.Serve(&greeter.Service{Handle: authorization})
	source := authn.TokenFunc(new(tokens).token)
	client := server.Client(authn.NewClient(source, authn.ClientConfig{AllowClearText: true}))
	ctx := context.Background()

	for _, kind := range greeter.Kinds() {
		seen, err := greeter.Call(ctx, client, kind, "who am I?")
		greeter.Check(err)
		fmt.Printf("%s: the server saw %s\n", kind, seen)
	}

	// Without a token nothing is sent, and the call ends with a status.
	_, err := greeter.Call(ctx, client, hauberk.Unary, "who am I?")
	fmt.Println("no token:", greeter.Outcome(err))

	// If the call has an authorization already, that is sent, and the source does not run.
	own := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer mine")
	seen, err := greeter.Call(own, client, hauberk.Unary, "who am I?")
	greeter.Check(err)
	fmt.Println("own token: the server saw", seen)
	server.Stop()
}

// authorization replies with the values of "authorization".
func authorization(ctx context.Context, s greeter.Stream) error {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	return s.Send(&greeterpb.HelloReply{Text: strings.Join(values, " and ")})
}
