package authnintrospect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/internal/tokencache"
)

// Method is the method of opaque bearer tokens. Make it with [New]. Safe for concurrent use.
type Method struct {
	config   Config
	endpoint *url.URL
	client   *http.Client
	kept     *tokencache.Cache[answer]
	err      error

	mu     sync.Mutex // guards asking
	asking map[[sha256.Size]byte]*request
}

// answer is the endpoint's answer for a token.
type answer struct {
	identity *authn.Identity // nil if the token is rejected
	err      error           // why
}

// request is a request that calls with the same token wait for.
type request struct {
	done   chan struct{} // closed at the end
	answer answer        // from then on
	err    error         // if there is no answer
}

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
	m := &Method{config: config, asking: make(map[[sha256.Size]byte]*request)}
	var errs []error
	m.endpoint, errs = parseEndpoint(config.Endpoint)
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
	m.kept = tokencache.New[answer](m.config.MaxTokens)
	m.client = withoutRedirects(config.Client)
	return m
}

func parseEndpoint(endpoint string) (*url.URL, []error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, []error{errors.New(
			"Config.Endpoint is not a URL; want one such as https://issuer.example.org/introspect")}
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, []error{fmt.Errorf("Config.Endpoint is %q; want https, since tokens are sent to it", u.Redacted())}
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
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

// withoutRedirects returns a copy of a client that follows no redirect.
func withoutRedirects(client *http.Client) *http.Client {
	own := http.Client{Transport: http.DefaultTransport}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
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
	if a, ok := m.kept.Get(string(key[:]), time.Now()); ok {
		return a.identity, a.err
	}
	r := m.ask(ctx, key, token)
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.answer.identity, r.answer.err
}

// ask returns the request for a token that is under way, or begins one. A request does not end
// with the call that began it, since others wait for it.
func (m *Method) ask(ctx context.Context, key [sha256.Size]byte, token string) *request {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.asking[key]; r != nil {
		return r
	}
	r := &request{done: make(chan struct{})}
	m.asking[key] = r
	go m.run(context.WithoutCancel(ctx), r, key, token)
	return r
}

// run makes a request. A panic of the program's http.Client fails it: no interceptor could
// recover it on this goroutine.
func (m *Method) run(ctx context.Context, r *request, key [sha256.Size]byte, token string) {
	defer func() {
		if p := recover(); p != nil {
			r.err = fmt.Errorf("%w: its client panicked: %v", ErrEndpoint, p)
		}
		m.mu.Lock()
		delete(m.asking, key)
		m.mu.Unlock()
		close(r.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	r.answer, r.err = m.introspect(ctx, token)
	if r.err == nil {
		m.keep(string(key[:]), r.answer)
	}
}

func (m *Method) keep(key string, a answer) {
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
