package reports_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnintrospect"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnmtls"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// TestReportKeptAnswerHasOtherScopes: a token that is kept with its answer has the scopes of the answer for each method, and
// not those of the method that it was first used for (ory/oathkeeper#743).
func TestReportKeptAnswerHasOtherScopes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var requests atomic.Int64
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answering("application/json", `{"active":true,"sub":"alice","scope":"read"}`)(w, r)
	})
	introspect := authnintrospect.New(authnintrospect.Config{Endpoint: s.URL, Client: s.Client(), KeepActive: time.Hour})
	var rules []authz.Rule
	for i, kind := range kinds {
		rules = append(rules, authz.Rule{
			Methods: []string{hauberktest.FullMethod(kind)}, Scopes: []string{[]string{"read", "write"}[i%2]},
		})
	}
	to := setup{server: []hauberk.Interceptor{
		authn.New(authn.Config{}, introspect), authz.New(authz.Config{Policy: authz.Policy{Allow: rules}}),
	}}.start(t)
	for range 2 {
		for i, kind := range kinds {
			want := []codes.Code{codes.OK, codes.PermissionDenied}[i%2]
			err := to.call(t.Context(), kind, nil, "authorization", "Bearer token")
			if handled := to.handled(); status.Code(err) != want || (len(handled) == 1) != (want == codes.OK) {
				t.Errorf("%v: %v, and %q reached the handler; want %v", kind, err, handled, want)
			}
		}
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests; want 1: the answer is kept", n)
	}
}

// TestReportActiveButExpired: a token that the endpoint calls active although it has expired, is for another service or is not
// yet valid, is rejected (frappe/frappe#41539, gravitee-io/issues#772).
func TestReportActiveButExpired(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for name, test := range map[string]struct {
		answer string
		code   codes.Code
	}{
		"good":              {`{"active":true,"sub":"a","aud":"shop","exp":4102444800}`, codes.OK},
		"expired":           {`{"active":true,"sub":"a","aud":"shop","exp":1}`, codes.Unauthenticated},
		"not yet":           {`{"active":true,"sub":"a","aud":"shop","nbf":4102444800}`, codes.Unauthenticated},
		"another service":   {`{"active":true,"sub":"a","aud":"bank"}`, codes.Unauthenticated},
		"no audience":       {`{"active":true,"sub":"a"}`, codes.Unauthenticated},
		"inactive":          {`{"active":false,"sub":"a","aud":"shop","exp":4102444800}`, codes.Unauthenticated},
		"active in a text":  {`{"active":"true","sub":"a","aud":"shop"}`, codes.Unavailable},
		"active is missing": {`{"sub":"a","aud":"shop"}`, codes.Unavailable},
	} {
		s := site(t, answering("application/json", test.answer))
		introspect := authnintrospect.New(authnintrospect.Config{Endpoint: s.URL, Client: s.Client(), Audiences: []string{"shop"}})
		to := setup{server: []hauberk.Interceptor{authn.New(authn.Config{}, introspect)}}.start(t)
		to.wants(t, name, test.code, "authorization", "Bearer token")
	}
}

// TestReportEmptyEntry: an empty entry in a list of what is accepted is an error, and does not accept every caller or
// callers without the attribute (multigres/multigres#1243).
func TestReportEmptyEntry(t *testing.T) {
	rule := func(change func(r *authz.Rule)) hauberk.Interceptor {
		r := authz.Rule{Methods: []string{"*"}}
		change(&r)
		return authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{r}}})
	}
	tokens := func(change func(c *authnjwt.Config)) hauberk.Interceptor {
		c := authnjwt.Config{
			Issuer: issuer, Audiences: []string{"shop"}, Algorithms: []string{"RS256"}, JWKSURL: "https://issuer.example/keys",
		}
		change(&c)
		return authn.New(authn.Config{}, authnjwt.New(c))
	}
	empty := []string{""}
	for name, x := range map[string]hauberk.Interceptor{
		"TrustDomains":    authn.New(authn.Config{}, authnmtls.New(authnmtls.Config{TrustDomains: empty})),
		"DNSNames":        authn.New(authn.Config{}, authnmtls.New(authnmtls.Config{DNSNames: []string{"a", ""}})),
		"Audiences":       tokens(func(c *authnjwt.Config) { c.Audiences = []string{"shop", ""} }),
		"IssuerAliases":   tokens(func(c *authnjwt.Config) { c.IssuerAliases = empty }),
		"Issuer":          tokens(func(c *authnjwt.Config) { c.Issuer = "" }),
		"Algorithms":      tokens(func(c *authnjwt.Config) { c.Algorithms = empty }),
		"RequiredClaims":  tokens(func(c *authnjwt.Config) { c.RequiredClaims = map[string][]string{"": nil} }),
		"Methods":         rule(func(r *authz.Rule) { r.Methods = empty }),
		"ClientAddrs":     rule(func(r *authz.Rule) { r.ClientAddrs = empty }),
		"Subjects":        rule(func(r *authz.Rule) { r.Subjects = empty }),
		"Issuers":         rule(func(r *authz.Rule) { r.Issuers = empty }),
		"Tenants":         rule(func(r *authz.Rule) { r.Tenants = empty }),
		"Roles":           rule(func(r *authz.Rule) { r.Roles = empty }),
		"Scopes":          rule(func(r *authz.Rule) { r.Scopes = empty }),
		"Metadata":        rule(func(r *authz.Rule) { r.Metadata = []authz.MetadataMatch{{Values: []string{"a"}}} }),
		"Metadata values": rule(func(r *authz.Rule) { r.Metadata = []authz.MetadataMatch{{Key: "a"}} }),
		"audiences of introspection": authn.New(authn.Config{}, authnintrospect.New(authnintrospect.Config{
			Endpoint: "https://issuer.example/introspect", Audiences: empty,
		})),
		"scopes of introspection": authn.New(authn.Config{}, authnintrospect.New(authnintrospect.Config{
			Endpoint: "https://issuer.example/introspect", Scopes: empty,
		})),
	} {
		if _, err := hauberk.New(x); err == nil || len(err.Error()) > 500 {
			t.Errorf("%s: %v; want an error", name, err)
		}
	}
	// Of the names of a caller "" is that of a TLS client without a certificate, and no other's.
	principals := rule(func(r *authz.Rule) { r.Principals = empty })
	to := setup{server: []hauberk.Interceptor{named(), principals}}.start(t)
	to.wants(t, "Principals", codes.PermissionDenied, "authorization", "Bearer alice")
}
