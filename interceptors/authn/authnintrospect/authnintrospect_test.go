package authnintrospect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnintrospect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const loopback = "http://127.0.0.1/introspect"

// endpoint is an http.RoundTripper that answers as an authorization server.
type endpoint struct {
	requests atomic.Int32
	answer   func(form url.Values) (code int, kind, body string)
	delay    time.Duration
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.requests.Add(1)
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	select {
	case <-time.After(e.delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	code, kind, body := e.answer(r.PostForm)
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func answering(body string) *endpoint {
	return &endpoint{answer: func(url.Values) (int, string, string) { return http.StatusOK, "application/json", body }}
}

func panicking() *endpoint {
	return &endpoint{answer: func(url.Values) (int, string, string) { panic("client") }}
}

// serve calls a server of a kind with a token.
func serve(ctx context.Context, t *testing.T, kind hauberk.Kind, m authn.Method) (id *authn.Identity, inside, outside error) {
	t.Helper()
	found, failed := make(chan *authn.Identity, 1), make(chan error, 1)
	outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		failed <- err
		return err
	})
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		id, _ := authn.FromContext(ctx)
		found <- id
		return hauberktest.Echo(ctx, s)
	}}
	out := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, outer, authn.New(authn.Config{}, m)).
		Call(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer secret-token"))
	inside = <-failed
	select {
	case id = <-found:
	default:
	}
	return id, inside, out.Err
}

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

func TestAnswers(t *testing.T) {
	active := `{"active":true,"sub":"alice","iss":"https://issuer","aud":["shop","x"],"scope":"read write","exp":4102444800,"tier":"gold"}`
	strict := authnintrospect.Config{Issuer: "https://issuer", Audiences: []string{"shop"}, Scopes: []string{"read"}}
	named := authnintrospect.Config{SubjectMembers: []string{"sub", "username", "client_id"}}
	html := func(code int, kind, body string) *endpoint {
		return &endpoint{answer: func(url.Values) (int, string, string) { return code, kind, body }}
	}
	for name, test := range map[string]struct {
		config   authnintrospect.Config
		endpoint *endpoint
		user     string // "" if the call fails
		code     codes.Code
		cause    error
	}{
		"active":            {strict, answering(active), "alice", codes.OK, nil},
		"one audience":      {strict, answering(`{"active":true,"sub":"a","iss":"https://issuer","aud":"shop","scope":"read"}`), "a", codes.OK, nil},
		"user name":         {named, answering(`{"active":true,"username":"bob","client_id":"c"}`), "bob", codes.OK, nil},
		"client":            {named, answering(`{"active":true,"sub":"","username":null,"client_id":"c"}`), "c", codes.OK, nil},
		"client as a user":  {authnintrospect.Config{}, answering(`{"active":true,"client_id":"alice","username":"alice"}`), "", codes.Unauthenticated, authnintrospect.ErrSubject},
		"number as subject": {authnintrospect.Config{}, answering(`{"active":true,"sub":1}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"bearer":            {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","token_type":"bearer","token_use":"access_token"}`), "a", codes.OK, nil},
		"refresh token":     {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","token_type":"refresh_token"}`), "", codes.Unauthenticated, authnintrospect.ErrType},
		"use of refresh":    {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","token_type":"Bearer","token_use":"refresh_token"}`), "", codes.Unauthenticated, authnintrospect.ErrType},
		"Keycloak":          {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","typ":"Refresh"}`), "", codes.Unauthenticated, authnintrospect.ErrType},
		"DPoP":              {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","token_type":"DPoP"}`), "", codes.Unauthenticated, authnintrospect.ErrType},
		"ACTIVE too":        {authnintrospect.Config{}, answering(`{"active":false,"sub":"a","ACTIVE":true}`), "", codes.Unauthenticated, authnintrospect.ErrInactive},
		"Active alone":      {authnintrospect.Config{}, answering(`{"Active":true,"sub":"a"}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"Sub too":           {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","Sub":"admin"}`), "a", codes.OK, nil},
		"Scope too":         {strict, answering(strings.Replace(active, `"scope":"read write"`, `"scope":"x","Scope":"read"`, 1)), "", codes.Unauthenticated, authnintrospect.ErrScope},
		"active twice":      {authnintrospect.Config{}, answering(`{"active":false,"sub":"a","active":true}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"nested too deep":   {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"inactive":          {strict, answering(`{"active":false}`), "", codes.Unauthenticated, authnintrospect.ErrInactive},
		"other issuer":      {strict, answering(strings.Replace(active, "https://issuer", "https://issuer.evil", 1)), "", codes.Unauthenticated, authnintrospect.ErrIssuer},
		"other audience":    {strict, answering(strings.Replace(active, `"shop"`, `"shops"`, 1)), "", codes.Unauthenticated, authnintrospect.ErrAudience},
		"no audience":       {strict, answering(`{"active":true,"sub":"a","iss":"https://issuer","scope":"read"}`), "", codes.Unauthenticated, authnintrospect.ErrAudience},
		"no scope":          {strict, answering(strings.Replace(active, "read", "reader", 1)), "", codes.Unauthenticated, authnintrospect.ErrScope},
		"expired":           {strict, answering(strings.Replace(active, "4102444800", "1000", 1)), "", codes.Unauthenticated, authn.ErrTokenExpired},
		"long ago":          {strict, answering(strings.Replace(active, "4102444800", "-1e300", 1)), "", codes.Unauthenticated, authn.ErrTokenExpired},
		"not yet":           {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","nbf":4102444800}`), "", codes.Unauthenticated, authnintrospect.ErrInactive},
		"no subject":        {authnintrospect.Config{}, answering(`{"active":true}`), "", codes.Unauthenticated, authnintrospect.ErrSubject},
		"no active":         {authnintrospect.Config{}, answering(`{"sub":"a"}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"active as text":    {authnintrospect.Config{}, answering(`{"active":"true","sub":"a"}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"expires as text":   {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","exp":"4102444800"}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"audience as group": {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","aud":{}}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"not JSON":          {authnintrospect.Config{}, answering(`{"active":tr`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"HTML":              {authnintrospect.Config{}, html(200, "text/html", active), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"failing":           {authnintrospect.Config{}, html(500, "application/json", active), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"redirect":          {authnintrospect.Config{}, html(307, "application/json", active), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"too long":          {authnintrospect.Config{}, answering(`{"active":true,"sub":"a","x":"` + strings.Repeat("x", 1<<20) + `"}`), "", codes.Unavailable, authnintrospect.ErrEndpoint},
		"panic":             {authnintrospect.Config{}, panicking(), "", codes.Unavailable, authnintrospect.ErrEndpoint},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range kinds {
				config := test.config
				config.Endpoint, config.Client = loopback, &http.Client{Transport: test.endpoint}
				id, inside, err := serve(t.Context(), t, kind, authnintrospect.New(config))
				if status.Code(err) != test.code || id.String() != test.user {
					t.Errorf("%v: %v for %q; want %v for %q", kind, err, id, test.code, test.user)
				}
				if test.cause != nil && (!errors.Is(inside, test.cause) || strings.Contains(fmt.Sprint(inside), "secret-token")) {
					t.Errorf("%v: the cause is %v; want %v, without the token", kind, inside, test.cause)
				}
			}
		})
	}
}

// TestRequest: the request is that of RFC 7662, and a real server is asked only once.
func TestRequest(t *testing.T) {
	var requests atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		id, secret, _ := r.BasicAuth()
		if r.Method != http.MethodPost || r.FormValue("token") != "secret-token" || id != "me%3A" || secret != "p%2Bw" || r.Header.Get("X-Extra") != "1" {
			t.Errorf("%s %v, %q, %q, %v", r.Method, r.Form, id, secret, r.Header)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, `{"active":true,"sub":"alice","scope":"a b","tier":"gold","account":1234567890123456789}`)
	}))
	defer web.Close()
	defer http.DefaultClient.CloseIdleConnections()
	scopes := []string{"a"}
	m := authnintrospect.New(authnintrospect.Config{
		Endpoint: web.URL, ClientID: "me:", ClientSecret: "p+w", Header: http.Header{"X-Extra": {"1"}}, Scopes: scopes,
	})
	scopes[0] = "changed" // is not that of the method
	for range 3 {
		id, _, err := serve(t.Context(), t, hauberk.Unary, m)
		if err != nil || id.Subject != "alice" || id.Claims["tier"] != "gold" || len(id.Scopes) != 2 || id.Method != "introspection" ||
			id.Claims["account"] != int64(1234567890123456789) {
			t.Errorf("%+v, %v", id, err)
		}
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests; want 1", n)
	}
}

// TestKept: answers are kept for their time, and calls with the same token share a request.
func TestKept(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where synctest begins
	for name, test := range map[string]struct {
		config authnintrospect.Config
		body   string
		kept   time.Duration
	}{
		"active":            {authnintrospect.Config{}, `{"active":true,"sub":"a"}`, time.Minute},
		"active, own time":  {authnintrospect.Config{KeepActive: time.Hour}, `{"active":true,"sub":"a"}`, time.Hour},
		"until it expires":  {authnintrospect.Config{}, fmt.Sprintf(`{"active":true,"sub":"a","exp":%d}`, now.Unix()+31), 30 * time.Second},
		"inactive":          {authnintrospect.Config{}, `{"active":false}`, 10 * time.Second},
		"inactive, own":     {authnintrospect.Config{KeepInactive: time.Minute}, `{"active":false}`, time.Minute},
		"not kept":          {authnintrospect.Config{KeepActive: -1}, `{"active":true,"sub":"a"}`, 0},
		"inactive not kept": {authnintrospect.Config{KeepInactive: -1}, `{"active":false}`, 0},
		"failure":           {authnintrospect.Config{}, `{}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := answering(test.body)
				e.delay = time.Second
				test.config.Endpoint, test.config.Client = loopback, &http.Client{Transport: e}
				m := authnintrospect.New(test.config)
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() { _, _, _ = serve(t.Context(), t, hauberk.Unary, m) })
				}
				all.Wait()
				expect := func(when string, want int32) {
					t.Helper()
					_, _, _ = serve(t.Context(), t, hauberk.Unary, m)
					if n := e.requests.Load(); n != want {
						t.Errorf("%s: %d requests; want %d", when, n, want)
					}
				}
				if n := e.requests.Load(); n != 1 {
					t.Errorf("%d requests for calls at the same time; want 1", n)
				}
				if test.kept == 0 {
					expect("afterwards", 2)
					return
				}
				time.Sleep(test.kept - 1) //nolint:forbidigo // synctest: the clock is fake
				expect("just before its time is over", 1)
				time.Sleep(time.Nanosecond) //nolint:forbidigo // as above
				expect("when its time is over", 2)
			})
		})
	}
}

// TestSlowEndpoint: a request is limited in time, and a call that ends does not end the request
// that others wait for.
func TestSlowEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := answering(`{"active":true,"sub":"a"}`)
		e.delay = 3 * time.Second
		m := authnintrospect.New(authnintrospect.Config{Endpoint: loopback, Client: &http.Client{Transport: e}})
		var all sync.WaitGroup
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, _, err := serve(ctx, t, hauberk.Unary, m); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("the impatient call: %v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if id, _, err := serve(t.Context(), t, hauberk.Unary, m); err != nil || id.String() != "a" {
				t.Errorf("the patient call: %v", err)
			}
		})
		all.Wait()
		if n := e.requests.Load(); n != 1 {
			t.Errorf("%d requests; want 1", n)
		}
		e.delay = time.Hour
		time.Sleep(time.Minute) //nolint:forbidigo // synctest: the clock is fake
		start := time.Now()
		if _, _, err := serve(t.Context(), t, hauberk.Unary, m); status.Code(err) != codes.Unavailable || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v; want UNAVAILABLE after 5s", err, time.Since(start))
		}
	})
}

func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		config authnintrospect.Config
		want   string
	}{
		"none":            {authnintrospect.Config{}, "authnintrospect: Config.Endpoint is not a URL; want one such as https://issuer.example.org/introspect"},
		"clear text":      {authnintrospect.Config{Endpoint: "http://user:pw@issuer.example.org/x"}, `Config.Endpoint is "http://user:xxxxx@issuer.example.org/x"; want https`},
		"another scheme":  {authnintrospect.Config{Endpoint: "ftp://issuer"}, "want https"},
		"secret alone":    {authnintrospect.Config{Endpoint: loopback, ClientSecret: "s"}, "Config.ClientSecret is set without ClientID"},
		"negative tokens": {authnintrospect.Config{Endpoint: loopback, MaxTokens: -1}, "authnintrospect: Config.MaxTokens is -1"},
		"negative size":   {authnintrospect.Config{Endpoint: loopback, MaxTokenBytes: -1}, "Config.MaxTokenBytes is -1"},
		"negative number": {authnintrospect.Config{Endpoint: loopback, MaxRequests: -1}, "Config.MaxRequests is -1"},
		"empty member":    {authnintrospect.Config{Endpoint: loopback, SubjectMembers: []string{""}}, "Config.SubjectMembers has an empty name"},
		"empty audience":  {authnintrospect.Config{Endpoint: loopback, Audiences: []string{"shop", ""}}, `Config.Audiences is ["shop" ""]; want none that is empty`},
		"empty scope":     {authnintrospect.Config{Endpoint: loopback, Scopes: []string{""}}, `Config.Scopes has ""`},
		"two scopes":      {authnintrospect.Config{Endpoint: loopback, Scopes: []string{"read write"}}, `Config.Scopes has "read write"; want one scope in each entry`},
		"negative time":   {authnintrospect.Config{Endpoint: loopback, Timeout: -1}, "Config.Timeout is -1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := hauberk.New(authn.New(authn.Config{}, authnintrospect.New(test.config))); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
	m := authnintrospect.New(authnintrospect.Config{Endpoint: loopback})
	bearer := authn.Bearer(func(context.Context, string) (*authn.Identity, error) { return nil, authn.ErrOtherMethod })
	if _, err := hauberk.New(authn.New(authn.Config{}, bearer, m)); err != nil {
		t.Error(err)
	}
	want := `method 2, bearer, never runs: method 1, introspection, judges every "authorization"; want introspection after it`
	if _, err := hauberk.New(authn.New(authn.Config{}, m, bearer)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
	if err := new(authnintrospect.Method).Err(); err == nil || !strings.Contains(err.Error(), "authnintrospect.New") {
		t.Errorf("the zero value: %v", err)
	}
}
