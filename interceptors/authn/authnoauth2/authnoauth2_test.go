package authnoauth2_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnoauth2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issuer is an authorization server on a socket of this machine.
type issuer struct {
	*httptest.Server

	mu     sync.Mutex
	forms  []url.Values
	users  []string // and passwords
	answer func(w http.ResponseWriter, n int)
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{answer: func(w http.ResponseWriter, n int) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token%d","token_type":"Bearer","expires_in":3600}`, n)
	}}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		_ = r.ParseForm()
		i.forms = append(i.forms, r.PostForm)
		user, password, _ := r.BasicAuth()
		i.users = append(i.users, user+" "+password)
		i.answer(w, len(i.forms))
	}))
	t.Cleanup(func() {
		i.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return i
}

func (i *issuer) endpoint() authnoauth2.Endpoint {
	return authnoauth2.Endpoint{TokenURL: i.URL, ClientID: "me", ClientSecret: "pw", Refresh: authn.RefreshConfig{MinInterval: 1}}
}

func (i *issuer) requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.forms)
}

func expect(t *testing.T, source interface {
	Token(context.Context) (string, error)
}, want string,
) {
	t.Helper()
	if token, err := source.Token(t.Context()); token != want || err != nil {
		t.Errorf("%q, %v; want %q", token, err, want)
	}
}

// TestClientCredentials: the request is that of RFC 6749, 4.4.2, and a token serves until it
// expires or is invalidated.
func TestClientCredentials(t *testing.T) {
	i := newIssuer(t)
	endpoint := i.endpoint()
	endpoint.Scopes, endpoint.Params = []string{"read", "write"}, url.Values{"audience": {"shop"}}
	source := authnoauth2.NewClientCredentials(endpoint)
	if err := source.Err(); err != nil {
		t.Fatal(err)
	}
	endpoint.Scopes[0], endpoint.Params["audience"][0] = "changed", "changed"
	for range 3 {
		expect(t, source, "token1")
	}
	source.Invalidate("token1")
	expect(t, source, "token2")
	want := "audience=shop&grant_type=client_credentials&scope=read+write"
	if got := i.forms[0].Encode(); got != want || i.users[0] != "me pw" || i.requests() != 2 {
		t.Errorf("%d requests, %q by %q; want 2, %q by me", i.requests(), got, i.users[0], want)
	}
	endpoint = i.endpoint()
	endpoint.InParams = true
	expect(t, authnoauth2.NewClientCredentials(endpoint), "token3")
	if got := i.forms[2].Encode(); got != "client_id=me&client_secret=pw&grant_type=client_credentials" {
		t.Errorf("%q", got)
	}
}

// TestExchange: each subject token is exchanged once (RFC 8693, 2.1), and callers do not get each
// other's tokens.
func TestExchange(t *testing.T) {
	i := newIssuer(t)
	type caller struct{}
	x := authnoauth2.NewExchange(authnoauth2.ExchangeConfig{
		Endpoint: i.endpoint(),
		Subject: authn.TokenFunc(func(ctx context.Context) (string, error) {
			subject, ok := ctx.Value(caller{}).(string)
			if !ok {
				return "", status.Error(codes.Unauthenticated, "no caller")
			}
			return subject, nil
		}),
	})
	if err := x.Err(); err != nil {
		t.Fatal(err)
	}
	as := func(subject string) context.Context { return context.WithValue(t.Context(), caller{}, subject) }
	for range 2 {
		for n, subject := range []string{"alice", "bob"} {
			if token, err := x.Token(as(subject)); err != nil || token != fmt.Sprint("token", n+1) {
				t.Errorf("%s: %q, %v; want token%d", subject, token, err, n+1)
			}
		}
	}
	want := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"alice"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}.Encode()
	if got := i.forms[0].Encode(); got != want {
		t.Errorf("%q; want %q", got, want)
	}
	x.Invalidate("token1")
	x.Invalidate("unknown")
	if token, err := x.Token(as("alice")); token != "token3" || err != nil {
		t.Errorf("%q, %v; want token3", token, err)
	}
	if token, _ := x.Token(as("bob")); token != "token2" {
		t.Errorf("%q; want bob's token to be kept", token)
	}
	for _, test := range []struct{ subject, token, want string }{
		{"alice", "token3", "token4"}, {"bob", "unknown", "token2"}, {"bob", "token4", "token2"},
	} {
		if got, err := x.Renew(as(test.subject), test.token); got != test.want || err != nil {
			t.Errorf("Renew of %s by %s: %q, %v; want %s", test.token, test.subject, got, err, test.want)
		}
	}
	x.Invalidate("token4") // whose source Renew has kept
	x.Invalidate("token5") // its successor, if that of bob was faster
	if token, err := x.Token(as("alice")); token != "token5" && token != "token6" || err != nil {
		t.Errorf("%q, %v; want another token", token, err)
	}
	if _, err := x.Token(t.Context()); status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v; want the error of Subject", err)
	}
}

// TestSharedToken: an authorization server may give one token to several callers. When a server rejects it, each
// caller receives its own successor, and not that of the caller that came last.
func TestSharedToken(t *testing.T) {
	type caller struct{}
	var rejected atomic.Bool
	i := newIssuer(t)
	i.answer = func(w http.ResponseWriter, n int) {
		token := "shared"
		if rejected.Load() {
			token = "of-" + i.forms[n-1].Get("subject_token")
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, token)
	}
	as := func(subject string) context.Context { return context.WithValue(t.Context(), caller{}, subject) }
	for _, renew := range []bool{false, true} {
		rejected.Store(false)
		x := authnoauth2.NewExchange(authnoauth2.ExchangeConfig{
			Endpoint: i.endpoint(),
			Subject:  authn.TokenFunc(func(ctx context.Context) (string, error) { return ctx.Value(caller{}).(string), nil }),
		})
		subjects := []string{"alice", "bob", "carol"}
		for _, subject := range subjects {
			if token, err := x.Token(as(subject)); token != "shared" || err != nil {
				t.Fatal(token, err)
			}
		}
		rejected.Store(true)
		if !renew {
			x.Invalidate("shared")
		}
		for _, subject := range subjects {
			next := x.Token
			if renew {
				next = func(ctx context.Context) (string, error) { return x.Renew(ctx, "shared") }
			}
			token, err := next(as(subject))
			if token != "of-"+subject || err != nil {
				t.Errorf("renew %t, %s: %q, %v; want of-%s", renew, subject, token, err, subject)
			}
		}
	}
}

// TestFailures: who failed decides on the status, and no error has the body or a secret.
func TestFailures(t *testing.T) {
	write := func(code int, kind, body string) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, int)
		want   codes.Code
	}{
		"rejected":   {write(401, "application/json", `{"error":"invalid_client","error_description":"leak"}`), codes.Unauthenticated},
		"bad scope":  {write(400, "application/json", `{"error":"invalid_scope"}`), codes.Unauthenticated},
		"failing":    {write(500, "text/html", "leak"), codes.Unavailable},
		"overloaded": {write(429, "text/plain", "leak"), codes.Unavailable},
		"HTML":       {write(200, "text/html", "<leak>"), codes.Unavailable},
		"no token":   {write(200, "application/json", `{"token_type":"Bearer"}`), codes.Unavailable},
		"redirect": {func(w http.ResponseWriter, _ int) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, codes.Unavailable},
		"closed": {func(http.ResponseWriter, int) { panic(http.ErrAbortHandler) }, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.answer = test.answer
			_, err := authnoauth2.NewClientCredentials(i.endpoint()).Token(t.Context())
			if status.Code(err) != test.want || !errors.Is(err, authnoauth2.ErrEndpoint) || status.Convert(err).Message() != "No token" {
				t.Errorf("%v; want %v", err, test.want)
			}
			if text := fmt.Sprint(err); strings.Contains(text, "leak") || strings.Contains(text, "pw") {
				t.Errorf("%q leaks", text)
			}
			if i.requests() != 1 {
				t.Errorf("%d requests; want no redirect to be followed", i.requests())
			}
		})
	}
	gone := newIssuer(t)
	gone.Close()
	if _, err := authnoauth2.NewClientCredentials(gone.endpoint()).Token(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("no server: %v", err)
	}
}

// TestTokenType: only a bearer token is sent as one.
func TestTokenType(t *testing.T) {
	for member, good := range map[string]bool{
		`"token_type":"Bearer",`: true, `"token_type":"bearer",`: true, `"token_type":"BEARER",`: true,
		`"token_type":"DPoP",`: false, `"token_type":"mac",`: false, `"token_type":"N_A",`: false, ``: false,
	} {
		i := newIssuer(t)
		i.answer = func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":"secret",%s"expires_in":3600}`, member)
		}
		for name, source := range map[string]authn.TokenSource{
			"client credentials": authnoauth2.NewClientCredentials(i.endpoint()),
			"exchange":           authnoauth2.NewExchange(authnoauth2.ExchangeConfig{Endpoint: i.endpoint(), Subject: authn.StaticToken("s")}),
		} {
			token, err := source.Token(t.Context())
			if good && (err != nil || token != "secret") {
				t.Errorf("%s, %s: %v", name, member, err)
			}
			if !good && (status.Code(err) != codes.Unauthenticated || !errors.Is(err, authnoauth2.ErrTokenType) ||
				!errors.Is(err, authnoauth2.ErrEndpoint) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("%s, %s: %q, %v; want %v", name, member, token, err, authnoauth2.ErrTokenType)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	good := authnoauth2.Endpoint{TokenURL: "https://issuer.example.org/token", ClientID: "me"}
	subject := authn.StaticToken("x")
	for want, change := range map[string]func(*authnoauth2.ExchangeConfig){
		"TokenURL is not a URL":         func(c *authnoauth2.ExchangeConfig) { c.TokenURL = "issuer" },
		"want https":                    func(c *authnoauth2.ExchangeConfig) { c.TokenURL = "http://issuer.example.org" },
		"ClientID is empty":             func(c *authnoauth2.ExchangeConfig) { c.ClientID = "" },
		`Endpoint.Params has "scope"`:   func(c *authnoauth2.ExchangeConfig) { c.Params = url.Values{"scope": {"x"}} },
		"ExchangeConfig.Subject is nil": func(c *authnoauth2.ExchangeConfig) { c.Subject = nil },
		"MaxTokens -1 and KeepFor 0s":   func(c *authnoauth2.ExchangeConfig) { c.MaxTokens = -1 },
		"Timeout -1s":                   func(c *authnoauth2.ExchangeConfig) { c.Refresh.Timeout = -time.Second },
		"ExchangeConfig.Subject: the token begins with Bearer": func(c *authnoauth2.ExchangeConfig) { c.Subject = authn.StaticToken("Bearer x") },
		"ExchangeConfig.Subject: its TokenSource is nil":       func(c *authnoauth2.ExchangeConfig) { c.Subject = authn.TokenFunc(nil) },
		"ExchangeConfig.Subject: FileTokenConfig.File: open absent": func(c *authnoauth2.ExchangeConfig) {
			c.Subject = authn.NewFileToken(authn.FileTokenConfig{File: "absent"})
		},
	} {
		config := authnoauth2.ExchangeConfig{Endpoint: good, Subject: subject}
		change(&config)
		if err := authnoauth2.NewExchange(config).Err(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "authnoauth2: ") {
			t.Errorf("%v; want %q", err, want)
		}
		if strings.HasPrefix(want, "ExchangeConfig") || strings.HasPrefix(want, "MaxTokens") || config.Refresh.Timeout < 0 {
			continue
		}
		credentials := authnoauth2.NewClientCredentials(config.Endpoint)
		_, failed := credentials.Token(t.Context())
		for _, err := range []error{credentials.Err(), failed} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("client credentials: %v; want %q", err, want)
			}
		}
	}
	bad := good
	bad.Refresh.Timeout = -time.Second
	empty := func(context.Context) (string, error) { return "", nil }
	for _, subject := range []authn.TokenSource{nil, authn.TokenFunc(nil), authn.TokenFunc(empty)} {
		x := authnoauth2.NewExchange(authnoauth2.ExchangeConfig{Endpoint: good, Subject: subject})
		if token, err := x.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "ExchangeConfig.Subject") {
			t.Errorf("%q, %v; want an error about the subject", token, err)
		}
	}
	for _, err := range []error{
		authnoauth2.NewClientCredentials(bad).Err(), new(authnoauth2.ClientCredentials).Err(), new(authnoauth2.Exchange).Err(),
	} {
		if err == nil {
			t.Error("no error of negative times, or of a zero value")
		}
	}
	if err := authnoauth2.NewExchange(authnoauth2.ExchangeConfig{Endpoint: good, Subject: subject}).Err(); err != nil {
		t.Error(err)
	}
}
