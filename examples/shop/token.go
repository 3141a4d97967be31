package main

import (
	"errors"

	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

const (
	issuer   = "https://issuer.example"
	audience = "shop"
)

// accepted returns the method that accepts the tokens of the issuer. Its keys are in a JWKS
// file, which may change, or are given by an option.
func accepted(jwksFile string, options ...authnjwt.Option) *authnjwt.Validator {
	return authnjwt.New(authnjwt.Config{
		Issuer: issuer, Audiences: []string{audience}, Algorithms: []string{"ES256"},
		JWKSFile: jwksFile, RolesClaim: "roles",
	}, options...)
}

// trusted returns the method for the keys of a file, or with dev for a new key, and a token of
// alice that it accepts.
func trusted(jwksFile string, dev bool) (tokens *authnjwt.Validator, token string, err error) {
	if dev == (jwksFile != "") {
		return nil, "", errors.New("want -jwks file, with the issuer's keys, or -dev, which makes a key and a token")
	}
	if !dev {
		return accepted(jwksFile), "", nil
	}
	key, err := newKey()
	if err != nil {
		return nil, "", err
	}
	token, err = sign(key, claimsOf("alice", "customer", "staff"))
	return accepted("", publicOf(key)), token, err
}
