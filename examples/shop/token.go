package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

const (
	issuer   = "https://issuer.example"
	audience = "shop"
)

// validator accepts JWTs that the issuer signed for the shop. keys are its public keys.
func validator(keys jose.JSONWebKeySet) authn.Validator {
	return func(_ context.Context, token string) (*authn.Identity, error) {
		parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", authn.ErrInvalidToken, err)
		}
		var claims jwt.Claims
		if err := parsed.Claims(keys, &claims); err != nil {
			return nil, fmt.Errorf("%w: %w", authn.ErrInvalidToken, err)
		}
		switch err := claims.Validate(jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{audience}}); {
		case errors.Is(err, jwt.ErrExpired):
			return nil, authn.ErrTokenExpired
		case err != nil:
			return nil, fmt.Errorf("%w: %w", authn.ErrInvalidToken, err)
		case claims.Subject == "" || claims.Expiry == nil: // jwt.Validate accepts tokens without them
			return nil, fmt.Errorf("%w: sub and exp are required", authn.ErrInvalidToken)
		}
		return &authn.Identity{
			Subject: claims.Subject, Issuer: claims.Issuer, Expires: claims.Expiry.Time().Add(jwt.DefaultLeeway),
		}, nil
	}
}

// loadKeys reads public keys from a file. Without a file it makes a key and prints a call
// of alice, with a token.
func loadKeys(file string) (keys jose.JSONWebKeySet, err error) {
	if file == "" {
		key, err := newKey()
		if err != nil {
			return keys, err
		}
		token, err := sign(key, claimsOf("alice"))
		fmt.Printf("grpcurl -plaintext -H 'x-tenant: acme' -H 'authorization: Bearer %s' "+
			"-d '{\"order_id\": \"1\", \"item\": \"tea\"}' 127.0.0.1:50051 %s\n", token, buyMethod)
		return publicOf(key), err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return keys, err
	}
	err = json.Unmarshal(text, &keys)
	return keys, err
}

func newKey() (*jose.JSONWebKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &jose.JSONWebKey{Key: key, KeyID: "1", Algorithm: string(jose.ES256), Use: "sig"}, err
}

func publicOf(key *jose.JSONWebKey) jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}
}

// sign makes a token. Only the issuer does this, in a real system.
func sign(key *jose.JSONWebKey, claims jwt.Claims) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// claimsOf are the claims of a good token of a user.
func claimsOf(user string) jwt.Claims {
	return jwt.Claims{
		Issuer: issuer, Audience: jwt.Audience{audience}, Subject: user,
		Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}
}
