package authnintrospect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/internal/endpoint"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/internal/flight"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/internal/tokencache"
)

// Method is the method of opaque bearer tokens. Make it with [New]. Safe for concurrent use.
type Method struct {
	config Config
	client *http.Client
	kept   *tokencache.Cache[hash, answer]
	err    error

	mu     sync.Mutex // guards asking
	asking map[hash]*flight.Flight[answer]
}

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
)

// New returns the method of opaque tokens, for authn.New. A token that is not active, or not for
// this service, ends the call with UNAUTHENTICATED, "Invalid token". hauberk.New reports what is
// wrong with the settings.
func New(config Config) *Method {
	m := &Method{config: config, asking: make(map[hash]*flight.Flight[answer])}
	errs := []error{endpoint.Check("Config.Endpoint", config.Endpoint)}
	if config.ClientID == "" && config.ClientSecret != "" {
		errs = append(errs, errors.New("Config.ClientSecret is set without ClientID"))
	}
	if config.MaxTokens < 0 {
		errs = append(errs, fmt.Errorf(
			"Config.MaxTokens is %d; want 0 for the default, or a number of tokens", config.MaxTokens))
	}
	if config.Timeout < 0 {
		errs = append(errs, fmt.Errorf("Config.Timeout is %v; want 0 for the default, or a time", config.Timeout))
	}
	m.err = errors.Join(errs...)
	defaults(&m.config)
	m.kept = tokencache.New[hash, answer](m.config.MaxTokens)
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
	if c.MaxTokens <= 0 {
		c.MaxTokens = defaultTokens
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	c.Header = c.Header.Clone()
}

// Name returns "introspection".
func (*Method) Name() string { return "introspection" }

// Err returns what is wrong with the settings, or nil.
func (m *Method) Err() error {
	if m.err == nil && m.kept == nil {
		return errors.New("Method has no settings; make it with authnintrospect.New")
	}
	return m.err
}

// Authenticate returns the identity of the call's token.
func (m *Method) Authenticate(ctx context.Context, call *hauberk.Call) (*authn.Identity, error) {
	token, err := authn.BearerToken(ctx, call)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256([]byte(token))
	a, ok := m.kept.Get(key, time.Now())
	if !ok {
		if a, err = m.ask(ctx, key, token).Wait(ctx); err != nil {
			return nil, err
		}
	}
	return a.identity, a.err
}

// ask returns the request for a token that is under way, or begins one. A request does not end
// with the call that began it, since others wait for it.
func (m *Method) ask(ctx context.Context, key hash, token string) *flight.Flight[answer] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.asking[key]; f != nil {
		return f
	}
	f := flight.New[answer]()
	m.asking[key] = f
	ctx = context.WithoutCancel(ctx)
	go f.Run(func() (answer, error) { return m.introspect(ctx, token) },
		func(how string) error { return fmt.Errorf("%w: its client %s", ErrEndpoint, how) },
		func(a answer, err error) { m.land(key, a, err) })
	return f
}

// land ends a request.
func (m *Method) land(key hash, a answer, err error) {
	if err == nil {
		m.keep(key, a)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.asking, key)
}

func (m *Method) keep(key hash, a answer) {
	now := time.Now()
	until := now.Add(m.config.KeepInactive)
	if a.identity != nil {
		until = now.Add(m.config.KeepActive)
		if expires := a.identity.Expires; !expires.IsZero() && expires.Before(until) {
			until = expires
		}
	}
	if until.After(now) {
		m.kept.Put(key, a, until)
	}
}
