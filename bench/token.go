package main

import (
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	mwauth "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// secret signs the tokens of this program. It has no other use.
const secret = "32 bytes or more, as HS256 wants"

const (
	tokenIssuer   = "bench"
	tokenAudience = "bench"
	tokenUser     = "alice"
)

// newAuthorization returns the metadata value of a user with an HS256 token.
func newAuthorization() (string, error) { return authorizationSignedWith(secret) }

// forgedAuthorization returns one that is signed with another secret.
func forgedAuthorization() (string, error) { return authorizationSignedWith(secret + ", forged") }

func authorizationSignedWith(key string) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(key)}, nil)
	if err != nil {
		return "", err
	}
	now := time.Now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: tokenIssuer, Subject: tokenUser, Audience: jwt.Audience{tokenAudience},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(24 * time.Hour)),
	}).Serialize()
	return "Bearer " + token, err
}

// newAuthn verifies HS256 tokens, each only once if it is valid.
func newAuthn() *authn.Interceptor { return authn.New(authn.Config{}, newJWT(1024)) }

// newJWT returns a validator of HS256 tokens that keeps verified ones, or with a negative number
// none.
func newJWT(cachedTokens int) *authnjwt.Validator {
	return authnjwt.New(authnjwt.Config{
		Issuer: tokenIssuer, Audiences: []string{tokenAudience}, Algorithms: []string{"HS256"},
		CachedTokens: cachedTokens,
	}, authnjwt.WithSecrets([]byte(secret)))
}

const jwtName = "JWT (HS256), unary call on a server"

// jwtContest compares the authentication of calls with a JWT. Each side is compared with an idle
// interceptor in its own chain.
func jwtContest() contest {
	const kept, verified = "Hauberk, JWT verified before", "Hauberk, JWT verified each time"
	const rival = "go-grpc-middleware, auth with golang-jwt"
	return contest{
		name: jwtName,
		variants: []variant{
			{oneIdle, behind(idleInterceptors(1)...)},
			{kept, behind(newAuthn())},
			{verified, behind(authn.New(authn.Config{}, newJWT(-1)))},
			{grpcIdle, func() func() error { return serverUnary(nil, idleUnary) }},
			{rival, func() func() error { return serverUnary(nil, mwauth.UnaryServerInterceptor(verifyEachTime())) }},
		},
		// The allocation is the copy of the metadata's values.
		budgets: map[string]budget{kept: {ns: 200, allocs: 1}},
		bases:   map[string]string{grpcIdle: grpcIdle, rival: grpcIdle},
	}
}
