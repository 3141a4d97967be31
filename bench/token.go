package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// secret signs the tokens of this program, which are good for nothing else.
const secret = "32 bytes or more, as HS256 wants"

const (
	tokenIssuer = "bench"
	tokenUser   = "alice"
)

// newAuthorization returns the metadata value of a user with an HS256 token.
func newAuthorization() (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, nil)
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

// verifier verifies HS256 tokens and keeps those that were good.
type verifier struct {
	mu   sync.RWMutex
	good map[string]*authn.Identity
}

const maxGood = 1024

func newVerifier() *verifier { return &verifier{good: make(map[string]*authn.Identity)} }

// validate is an [authn.Validator], which looks at the time of expiry itself.
func (v *verifier) validate(_ context.Context, token string) (*authn.Identity, error) {
	v.mu.RLock()
	id := v.good[token]
	v.mu.RUnlock()
	if id != nil {
		return id, nil
	}
	id, err := verify(token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", authn.ErrInvalidToken, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.good) >= maxGood {
		clear(v.good)
	}
	v.good[token] = id
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
