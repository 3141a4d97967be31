package authnoauth2

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
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

	mu       sync.Mutex                                  // guards additions to both
	sources  *tokencache.Cache[hash, *authn.Refresher]   // by the hash of the subject token
	byResult *tokencache.Cache[hash, []*authn.Refresher] // by the hash of the exchanged token
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
	x.byResult = tokencache.New[hash, []*authn.Refresher](x.config.MaxTokens)
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
	source, err := x.sourceOf(ctx)
	if err != nil {
		return "", err
	}
	token, err := source.Token(ctx)
	x.note(token, source)
	return token, err
}

// sourceOf returns the source of the tokens for the caller that Subject names.
func (x *Exchange) sourceOf(ctx context.Context) (*authn.Refresher, error) {
	if err := x.Err(); err != nil {
		return nil, err
	}
	subject, err := x.config.Subject.Token(ctx)
	switch {
	case err != nil:
		return nil, err
	case subject == "":
		return nil, errors.New("authnoauth2: ExchangeConfig.Subject returned an empty token")
	default:
		return x.source(subject), nil
	}
}

// note keeps the source of an exchanged token; "" for none. The server may give one token to several callers.
func (x *Exchange) note(token string, source *authn.Refresher) {
	if token == "" {
		return
	}
	key, now := sha256.Sum256([]byte(token)), time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	sources, _ := x.byResult.Get(key, now)
	if !slices.Contains(sources, source) {
		sources = append(slices.Clone(sources[max(0, len(sources)-maxSources+1):]), source)
	}
	x.byResult.Put(key, sources, now.Add(resultAge))
}

// maxSources is how many sources of one exchanged token are kept.
const maxSources = 16

// resultAge is for how long [Exchange.Invalidate] and [Exchange.Renew] find the source of a token.
const resultAge = 10 * time.Minute

// Renew replaces an exchanged token that a server may have rejected, as that of [authn.Refresher] does. If the
// authorization server gave it to several callers, it is replaced for all of them. Renew returns the successor
// for the caller that Subject names.
func (x *Exchange) Renew(ctx context.Context, token string) (string, error) {
	sources, _ := x.byResult.Get(sha256.Sum256([]byte(token)), time.Now())
	own, err := x.sourceOf(ctx)
	done, cancel := context.WithCancel(ctx)
	cancel()
	for _, source := range sources {
		if source != own {
			_, _ = source.Renew(done, token) // only begins
		}
	}
	if err != nil {
		return "", err
	}
	renewed, err := own.Renew(ctx, token) // or its current one, if that is another
	x.note(renewed, own)
	return renewed, err
}

// Invalidate removes an exchanged token that a server has rejected.
func (x *Exchange) Invalidate(token string) {
	sources, _ := x.byResult.Get(sha256.Sum256([]byte(token)), time.Now())
	for _, source := range sources {
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
