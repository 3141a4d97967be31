package authnoauth2

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/internal/tokencache"
)

// The parameters of RFC 8693, 2.1.
const (
	grantType       = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a type
)

// hash is the SHA-256 of a token.
type hash = [sha256.Size]byte

// Exchange is the source of tokens that are exchanged for those of callers. Make it with
// [NewExchange]. Safe for concurrent use.
type Exchange struct {
	config ExchangeConfig
	err    error

	mu       sync.Mutex                                // guards the making of sources
	sources  *tokencache.Cache[hash, *authn.Refresher] // by the hash of the subject token
	byResult *tokencache.Cache[hash, *authn.Refresher] // by the hash of the exchanged token
}

// NewExchange returns a source for authn.NewClient. The errors are those of
// [NewClientCredentials], and those of Subject. hauberk.New reports what is wrong with the settings, and
// with a Subject of package authn.
func NewExchange(config ExchangeConfig) *Exchange {
	config.Endpoint = config.clone()
	x := &Exchange{config: config}
	var errs []error
	if config.Subject == nil {
		errs = append(errs, errors.New("ExchangeConfig.Subject is nil; want the source of the token to exchange"))
	} else if err := authn.NewClient(config.Subject, authn.ClientConfig{}).Declare().Err; err != nil {
		errs = append(errs, fmt.Errorf("ExchangeConfig.Subject: %w", err))
	}
	errs = append(errs, x.refresher("").Err())
	if config.MaxTokens < 0 || config.KeepFor < 0 {
		errs = append(errs, fmt.Errorf("ExchangeConfig has MaxTokens %d and KeepFor %v; want neither below 0",
			config.MaxTokens, config.KeepFor))
	}
	if x.config.MaxTokens <= 0 {
		x.config.MaxTokens = 10_000
	}
	if x.config.KeepFor <= 0 {
		x.config.KeepFor = time.Minute
	}
	if x.config.SubjectTokenType == "" {
		x.config.SubjectTokenType = accessTokenType
	}
	x.err = errors.Join(config.check(), named(errs...))
	x.sources = tokencache.New[hash, *authn.Refresher](x.config.MaxTokens)
	x.byResult = tokencache.New[hash, *authn.Refresher](x.config.MaxTokens)
	return x
}

// Err returns what is wrong with the settings, or nil.
func (x *Exchange) Err() error {
	if x.sources == nil {
		return errors.New("authnoauth2: Exchange has no settings; make it with authnoauth2.NewExchange")
	}
	return x.err
}

// Token returns the token for the caller that Subject names.
func (x *Exchange) Token(ctx context.Context) (string, error) {
	if err := x.Err(); err != nil {
		return "", err
	}
	subject, err := x.config.Subject.Token(ctx)
	switch {
	case err != nil:
		return "", err
	case subject == "":
		return "", errors.New("authnoauth2: ExchangeConfig.Subject returned an empty token")
	}
	source := x.source(subject)
	token, err := source.Token(ctx)
	x.note(token, source)
	return token, err
}

// note keeps the source of an exchanged token; "" for none.
func (x *Exchange) note(token string, source *authn.Refresher) {
	if token != "" {
		x.byResult.Put(sha256.Sum256([]byte(token)), source, time.Now().Add(resultAge))
	}
}

// resultAge is for how long [Exchange.Invalidate] and [Exchange.Renew] find the source of a token.
const resultAge = 10 * time.Minute

// Renew replaces an exchanged token that a server may have rejected, as that of [authn.Refresher] does.
func (x *Exchange) Renew(ctx context.Context, token string) (string, error) {
	source, ok := x.byResult.Get(sha256.Sum256([]byte(token)), time.Now())
	if !ok {
		return x.Token(ctx)
	}
	renewed, err := source.Renew(ctx, token)
	x.note(renewed, source)
	return renewed, err
}

// Invalidate removes an exchanged token that a server has rejected.
func (x *Exchange) Invalidate(token string) {
	if source, ok := x.byResult.Get(sha256.Sum256([]byte(token)), time.Now()); ok {
		source.Invalidate(token)
	}
}

// source returns the source of the tokens for a subject token.
func (x *Exchange) source(subject string) *authn.Refresher {
	key, now := sha256.Sum256([]byte(subject)), time.Now()
	if source, ok := x.sources.Get(key, now); ok {
		return source
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if source, ok := x.sources.Get(key, now); ok {
		return source
	}
	source := x.refresher(subject)
	x.sources.Put(key, source, now.Add(sourceAge))
	return source
}

// refresher returns a new source of the tokens for a subject token.
func (x *Exchange) refresher(subject string) *authn.Refresher {
	return authn.NewRefresher(func(ctx context.Context) (authn.Token, error) {
		token, err := x.config.fetch(ctx, url.Values{
			"grant_type": {grantType}, "subject_token": {subject}, "subject_token_type": {x.config.SubjectTokenType},
		})
		if err == nil && token.Expires.IsZero() {
			token.Expires = time.Now().Add(x.config.KeepFor)
		}
		return token, err
	}, x.config.Refresh)
}

// sourceAge is for how long a source is kept: longer than tokens usually are valid.
const sourceAge = 24 * time.Hour
