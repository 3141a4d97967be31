package authn_test

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// A server that knows one token.
func Example() {
	validate := func(_ context.Context, token string) (*authn.Identity, error) {
		if token != "s3cret" {
			return nil, authn.ErrInvalidToken
		}
		return &authn.Identity{Subject: "alice"}, nil
	}
	chain := hauberk.Must(hauberk.Config{Public: []string{hauberk.Health}}.New(authn.New(authn.Config{}, authn.Bearer(validate))))

	// The chain, called as a server would. In a program it is carried by
	// chain.NewServer().
	serve := chain.UnaryServerInterceptor()
	handler := func(ctx context.Context, _ any) (any, error) {
		fmt.Println("called by", authn.User.Or(ctx, "no one"))
		return "done", nil
	}
	call := func(method, authorization string) {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", authorization))
		_, err := serve(ctx, "request", &grpc.UnaryServerInfo{FullMethod: method}, handler)
		fmt.Printf("%s %q\n", hauberk.StatusOf(err).Code(), hauberk.Reason(err))
	}
	call("/shop.v1.Cart/Get", "Bearer s3cret")
	call("/shop.v1.Cart/Get", "Bearer guess")
	call("/shop.v1.Cart/Get", "Basic czNjcmV0")
	call("/grpc.health.v1.Health/Check", "")
	// Output:
	// called by alice
	// OK ""
	// Unauthenticated "INVALID_TOKEN"
	// Unauthenticated "MALFORMED_TOKEN"
	// called by no one
	// OK ""
}

// A client whose token source fails once.
func ExampleNewClient() {
	asked := 0
	source := func(context.Context) (string, error) {
		asked++
		if asked == 2 {
			return "", errors.New("the token service is down")
		}
		return fmt.Sprintf("token-%d", asked), nil
	}
	chain := hauberk.Must(hauberk.New(authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true})))

	// The chain, called as a connection would. In a program it is carried by
	// chain.DialOptions().
	invoke := chain.UnaryClientInterceptor()
	wire := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		md, _ := metadata.FromOutgoingContext(ctx)
		fmt.Println("sent with", md.Get("authorization"))
		return nil
	}
	call := func(ctx context.Context) {
		if err := invoke(ctx, "/shop.v1.Cart/Get", &emptypb.Empty{}, &emptypb.Empty{}, nil, wire); err != nil {
			fmt.Println(err)
		}
	}
	call(context.Background())
	call(context.Background())
	call(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer mine"))
	// Output:
	// sent with [Bearer token-1]
	// No token: the token service is down
	// sent with [Bearer mine]
}
