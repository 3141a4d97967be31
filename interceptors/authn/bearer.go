package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/tokencache"
)

// BearerOption is an option of [Bearer].
type BearerOption func(*bearer)

// CacheTokens keeps accepted tokens, so that the validator does not run for each call.
//
// It keeps up to tokens of them: as a rule of thumb, one for each caller. Each is kept until
// Identity.Expires, and at most for keep if that is above 0. Without both it is not kept.
// Rejected tokens are not kept. A kept token is accepted even if the validator would reject it
// meanwhile, unless Identity.Revoked is closed. The identity is that of all calls with the token, so
// the validator must judge the token alone, and not what else its context has, such as metadata or
// the peer. A caller that sends many tokens evicts only
// tokens that are not in use.
func CacheTokens(tokens int, keep time.Duration) BearerOption {
	return func(b *bearer) {
		if tokens < 1 || keep < 0 {
			b.errs = append(b.errs, fmt.Errorf(
				"CacheTokens has %d tokens for %v; want at least 1 token, and a time of 0 or more", tokens, keep))
			return
		}
		b.cache, b.keep = tokencache.New[string, *Identity](tokens), keep
	}
}

// bearer is the method of [Bearer].
type bearer struct {
	validate Validator
	cache    *tokencache.Cache[string, *Identity] // nil without CacheTokens
	keep     time.Duration                        // how long a token is kept; 0: until it expires
	errs     []error
}

// Bearer is the method of bearer tokens (RFC 6750). A call needs exactly one value under the
// metadata key "authorization": "Bearer", in any case, and a token. A call with another value,
// or several, ends with UNAUTHENTICATED, "Missing or invalid token"; so does a call without one,
// unless a later method admits it. For the others validate decides.
func Bearer(validate Validator, options ...BearerOption) Method {
	b := &bearer{validate: validate}
	if validate == nil {
		b.errs = append(b.errs, errors.New("Bearer has no Validator"))
	}
	for _, o := range options {
		if o != nil {
			o(b)
		}
	}
	return b
}

func (*bearer) Name() string { return "bearer" }

// Credential returns "authorization".
func (*bearer) Credential() string { return header }

// Err returns what is wrong with the arguments of [Bearer].
func (b *bearer) Err() error { return errors.Join(b.errs...) }

func (b *bearer) Authenticate(ctx context.Context, call *hauberk.Call) (*Identity, error) {
	token, err := BearerToken(ctx, call)
	if err != nil {
		return nil, err
	}
	return b.identityOf(ctx, token)
}

// identityOf returns the kept identity of a token, or the validator's result, which it keeps
// if the token was accepted.
func (b *bearer) identityOf(ctx context.Context, token string) (*Identity, error) {
	if id, ok := b.cache.Get(token, time.Now()); ok && !isRevoked(id) {
		return id, nil
	}
	id, err := b.validate(ctx, token)
	if err == nil {
		b.put(token, id)
	}
	return id, err
}

// put keeps an identity, unless nothing says for how long.
func (b *bearer) put(token string, id *Identity) {
	if b.cache == nil || id == nil || id.Subject == "" {
		return
	}
	until := id.Expires
	if b.keep > 0 {
		if latest := time.Now().Add(b.keep); until.IsZero() || latest.Before(until) {
			until = latest
		}
	}
	if !until.IsZero() {
		b.cache.Put(token, id, until)
	}
}
