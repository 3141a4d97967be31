package authnintrospect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/internal/endpoint"
	"github.com/hauberk-rpc/hauberk/internal/tokencache"
)

// Method is the method of opaque bearer tokens. Make it with [New]. Safe for concurrent use.
type Method struct {
	config Config
	client *http.Client
	err    error

	// Active tokens are apart from others: untrusted callers, who can send any number of others, displace none.
	active *tokencache.Cache[hash, answer]
	others *tokencache.Cache[hash, answer]

	mu      sync.Mutex // guards what follows
	asking  map[hash]*request
	open    int // requests for calls
	streams map[hash]*streams
}

var _ authn.Credential = (*Method)(nil)

// answer is the endpoint's answer for a token.
type answer struct {
	identity *authn.Identity // nil if the token is rejected
	err      error           // why
}

// hash is the SHA-256 of a token.
type hash = [sha256.Size]byte

// Defaults of [Config].
const (
	defaultActive   = time.Minute
	defaultInactive = 10 * time.Second
	defaultTokens   = 10_000
	defaultTimeout  = 5 * time.Second
	defaultBytes    = 16 << 10
	defaultRequests = 64
)

// New returns the method of opaque tokens, for authn.New. A token that is not active, or not for
// this service, ends the call with UNAUTHENTICATED, "Invalid token". hauberk.New reports what is
// wrong with the settings.
func New(config Config) *Method {
	m := &Method{config: config, asking: make(map[hash]*request), streams: make(map[hash]*streams)}
	errs := []error{endpoint.Check("Config.Endpoint", config.Endpoint, "introspect")}
	if config.ClientID == "" && config.ClientSecret != "" {
		errs = append(errs, errors.New("Config.ClientSecret is set without ClientID"))
	}
	if slices.Contains(config.SubjectMembers, "") {
		errs = append(errs, errors.New("Config.SubjectMembers has an empty name"))
	}
	if slices.Contains(config.Audiences, "") {
		errs = append(errs, fmt.Errorf("Config.Audiences is %q; want none that is empty", config.Audiences))
	}
	for _, scope := range config.Scopes {
		if scope == "" || strings.Contains(scope, " ") {
			errs = append(errs, fmt.Errorf("Config.Scopes has %.100q; want one scope in each entry", scope))
		}
	}
	for _, limit := range []struct {
		setting string
		value   int
	}{
		{"Config.MaxTokens", config.MaxTokens},
		{"Config.MaxTokenBytes", config.MaxTokenBytes},
		{"Config.MaxRequests", config.MaxRequests},
	} {
		if limit.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d; want 0 for the default, or a number", limit.setting, limit.value))
		}
	}
	if config.Timeout < 0 {
		errs = append(errs, fmt.Errorf("Config.Timeout is %v; want 0 for the default, or a time", config.Timeout))
	}
	for _, err := range errs {
		if err != nil {
			m.err = errors.Join(m.err, fmt.Errorf("authnintrospect: %w", err))
		}
	}
	defaults(&m.config)
	m.active = tokencache.New[hash, answer](m.config.MaxTokens)
	m.others = tokencache.New[hash, answer](m.config.MaxTokens)
	m.client = endpoint.Client(config.Client)
	return m
}

func defaults(c *Config) {
	if c.KeepActive == 0 {
		c.KeepActive = defaultActive
	}
	if c.KeepInactive == 0 {
		c.KeepInactive = defaultInactive
	}
	if c.Recheck == 0 {
		if c.Recheck = c.KeepActive; c.Recheck < 0 {
			c.Recheck = defaultActive
		}
	}
	positive(&c.MaxTokens, defaultTokens)
	positive(&c.MaxTokenBytes, defaultBytes)
	positive(&c.MaxRequests, defaultRequests)
	positive(&c.Timeout, defaultTimeout)
	c.Audiences, c.Scopes = slices.Clone(c.Audiences), slices.Clone(c.Scopes)
	c.SubjectMembers = slices.Clone(c.SubjectMembers)
	if len(c.SubjectMembers) == 0 {
		c.SubjectMembers = []string{"sub"}
	}
	c.Header = c.Header.Clone()
}

// positive replaces a setting that is not above 0.
func positive[T int | time.Duration](setting *T, value T) {
	if *setting <= 0 {
		*setting = value
	}
}

// Name returns "introspection".
func (*Method) Name() string { return "introspection" }

// Credential returns "authorization".
func (*Method) Credential() string { return "authorization" }

// JudgesAll returns true: a method of bearer tokens after this one would never run. hauberk.New reports it.
func (*Method) JudgesAll() bool { return true }

// Err returns what is wrong with the settings, or nil.
func (m *Method) Err() error {
	if m.err == nil && m.active == nil {
		return errors.New("authnintrospect: Method has no settings; make it with authnintrospect.New")
	}
	return m.err
}

// Authenticate returns the identity of the call's token.
func (m *Method) Authenticate(ctx context.Context, call *hauberk.Call) (*authn.Identity, error) {
	token, err := authn.BearerToken(ctx, call)
	if err != nil {
		return nil, err
	}
	if len(token) > m.config.MaxTokenBytes {
		return nil, fmt.Errorf("%w: %w: it has %d bytes; want at most %d",
			authn.ErrInvalidToken, ErrTooLarge, len(token), m.config.MaxTokenBytes)
	}
	key := sha256.Sum256([]byte(token))
	a, ok := m.kept(key, time.Now())
	if !ok {
		if a, err = m.ask(ctx, key, token, true); err != nil {
			return nil, err
		}
	}
	if a.identity == nil || call.Kind() == hauberk.Unary || m.config.Recheck < 0 {
		return a.identity, a.err
	}
	return m.follow(ctx, key, token, a.identity), nil
}

// kept returns the answer for a token that is kept at a time.
func (m *Method) kept(key hash, now time.Time) (answer, bool) {
	if a, ok := m.active.Get(key, now); ok {
		return a, true
	}
	return m.others.Get(key, now)
}

// keep keeps the last answer for a token, and no earlier one.
func (m *Method) keep(key hash, a answer) {
	now := time.Now()
	if a.identity == nil {
		m.active.Delete(key)
		put(m.others, key, a, now, now.Add(m.config.KeepInactive))
		return
	}
	m.others.Delete(key)
	until := now.Add(m.config.KeepActive)
	if expires := a.identity.Expires; !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	put(m.active, key, a, now, until)
}

func put(cache *tokencache.Cache[hash, answer], key hash, a answer, now, until time.Time) {
	if until.After(now) {
		cache.Put(key, a, until)
	}
}
