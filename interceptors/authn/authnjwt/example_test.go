package authnjwt_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// A server for the tokens of one issuer. A program sets JWKSURL, Discovery or JWKSFile in place of
// WithPublicKeys, and closes the validator when the server has stopped.
func Example() {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	var revoked authnjwt.Revocations
	validator := authnjwt.New(authnjwt.Config{
		Issuer:     "https://issuer.example",
		Audiences:  []string{"shop"},
		Algorithms: []string{"EdDSA"},
		RolesClaim: "realm_access.roles",
	}, authnjwt.WithPublicKeys(public), authnjwt.WithRevocations(&revoked))
	defer validator.Close()
	chain := hauberk.Must(hauberk.New(authn.New(authn.Config{}, validator)))

	// The issuer.
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, nil)
	if err != nil {
		panic(err)
	}
	issue := func(audience string, expires time.Duration) string {
		token, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": "https://issuer.example", "sub": "alice", "aud": audience, "jti": "42",
			"exp":          time.Now().Add(expires).Unix(),
			"realm_access": map[string]any{"roles": []string{"buyer"}},
		}).Serialize()
		if err != nil {
			panic(err)
		}
		return token
	}

	// The chain, called as a server would. In a program it is carried by chain.NewServer().
	serve := chain.UnaryServerInterceptor()
	call := func(token string) {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
		_, err := serve(ctx, "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}, func(ctx context.Context, _ any) (any, error) {
			id, _ := authn.FromContext(ctx)
			fmt.Println("called by", id.Subject, "with the roles", id.Roles)
			return "done", nil
		})
		if err != nil {
			fmt.Println(hauberk.StatusOf(err).Message())
		}
	}
	token := issue("shop", time.Hour)
	call(token)
	call(issue("bank", time.Hour))
	call(issue("shop", -time.Hour))
	if err := revoked.Revoke(authnjwt.Revocation{ID: "42"}); err != nil {
		panic(err)
	}
	call(token)
	// Output:
	// called by alice with the roles [buyer]
	// Invalid token
	// Token expired
	// Token revoked
}
