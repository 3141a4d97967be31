package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

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

// trustedKeys returns the public keys of a JWKS file, or with dev a new key and a token of
// alice that it verifies.
func trustedKeys(file string, dev bool) (keys jose.JSONWebKeySet, token string, err error) {
	switch {
	case dev == (file != ""):
		err = errors.New("want -jwks file, with the keys of the issuer, or -dev, which makes a key and prints a token")
	case dev:
		var key *jose.JSONWebKey
		if key, err = newKey(); err == nil {
			keys = publicOf(key)
			token, err = sign(key, claimsOf("alice"))
		}
	default:
		keys, err = readKeys(file)
	}
	return keys, token, err
}

// readKeys reads the public keys of a JWKS file. Without a key for ES256 the server would
// reject every token.
func readKeys(file string) (keys jose.JSONWebKeySet, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return keys, err
	}
	if err := json.Unmarshal(text, &keys); err != nil {
		return keys, fmt.Errorf("%s: %w", file, err)
	}
	verifies := func(key jose.JSONWebKey) bool {
		public, ok := key.Key.(*ecdsa.PublicKey)
		return ok && public.Curve == elliptic.P256()
	}
	if !slices.ContainsFunc(keys.Keys, verifies) {
		return keys, fmt.Errorf("%s: no public key for ES256; want a JWKS with at least one", file)
	}
	return keys, nil
}
