package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// secret signs the tokens of this program. It has no other use.
const secret = "32 bytes or more, as HS256 wants"

const (
	tokenIssuer = "bench"
	tokenUser   = "alice"
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
		Issuer: tokenIssuer, Subject: tokenUser,
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(24 * time.Hour)),
	}).Serialize()
	return "Bearer " + token, err
}

// newAuthn verifies HS256 tokens, each only once if it is valid.
func newAuthn() *authn.Interceptor {
	return authn.New(authn.Config{}, authn.Bearer(validate, authn.CacheTokens(1024, 0)))
}

// validate is an [authn.Validator].
func validate(_ context.Context, token string) (*authn.Identity, error) {
	id, err := verify(token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", authn.ErrInvalidToken, err)
	}
	return id, nil
}

func verify(token string) (*authn.Identity, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return nil, err
	}
	var claims jwt.Claims
	if err := parsed.Claims([]byte(secret), &claims); err != nil {
		return nil, err
	}
	if err := claims.Validate(jwt.Expected{Issuer: tokenIssuer}); err != nil {
		return nil, err
	}
	if claims.Expiry == nil {
		return nil, fmt.Errorf("the token of %q has no exp; want one that expires", claims.Subject)
	}
	return &authn.Identity{Subject: claims.Subject, Issuer: claims.Issuer, Expires: claims.Expiry.Time()}, nil
}
