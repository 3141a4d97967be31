package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// This file is the issuer of tokens for the demo, -dev and the tests. In a real system
// another service is the issuer, and only its public keys are here.

// claims are the claims of a token.
type claims struct {
	jwt.Claims

	Roles []string `json:"roles,omitempty"`
}

func newKey() (*jose.JSONWebKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &jose.JSONWebKey{Key: key, KeyID: "1", Algorithm: string(jose.ES256), Use: "sig"}, err
}

func publicOf(key *jose.JSONWebKey) authnjwt.Option {
	return authnjwt.WithKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
}

// sign makes a token.
func sign(key *jose.JSONWebKey, of claims) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(of).Serialize()
}

// claimsOf are the claims of a good token of a user.
func claimsOf(user string, roles ...string) claims {
	return claims{jwt.Claims{
		Issuer: issuer, Audience: jwt.Audience{audience}, Subject: user,
		Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}, roles}
}
