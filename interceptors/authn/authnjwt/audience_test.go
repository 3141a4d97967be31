package authnjwt_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// TestAudienceClaim: another claim counts in place of "aud" only if the settings name it, and a token with
// both must be for this server by both.
func TestAudienceClaim(t *testing.T) {
	for name, test := range map[string]struct {
		claim  string
		claims object
		reject error // nil: accepted
	}{
		"not named":           {"", object{"aud": nil, "client_id": "shop"}, authnjwt.ErrAudience},
		"named":               {"client_id", object{"aud": nil, "client_id": "shop"}, nil},
		"named, another":      {"client_id", object{"aud": nil, "client_id": "bank"}, authnjwt.ErrAudience},
		"named, missing":      {"client_id", object{"aud": nil}, authnjwt.ErrAudience},
		"only aud":            {"client_id", nil, authnjwt.ErrAudience},
		"both":                {"client_id", object{"client_id": "shop"}, nil},
		"both, another aud":   {"client_id", object{"aud": "bank", "client_id": "shop"}, authnjwt.ErrAudience},
		"both, another claim": {"client_id", object{"client_id": "bank"}, authnjwt.ErrAudience},
		"aud is empty":        {"client_id", object{"aud": []string{}, "client_id": "shop"}, authnjwt.ErrAudience},
		"aud is a number":     {"client_id", object{"aud": 1, "client_id": "shop"}, authnjwt.ErrClaims},
		"claim is a number":   {"client_id", object{"aud": nil, "client_id": 1}, authnjwt.ErrClaims},
		"an array":            {"groups", object{"aud": nil, "groups": []string{"bank", "shop"}}, nil},
		"a path":              {"app.id", object{"aud": nil, "app": object{"id": "shop"}}, nil},
		"no path":             {"app.id", object{"aud": nil, "app": "shop"}, authnjwt.ErrClaims},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			c.AudienceClaim = test.claim
			v := validator(t, c, edKeys())
			text := token(claims(time.Now()).with(test.claims))
			if test.reject != nil {
				rejects(t, v, text, authn.ErrInvalidToken, test.reject)
				return
			}
			accepts(t, v, text)
		})
	}
}

// TestIssuerAliases: tokens of an alias are those of the issuer, and a revocation may name each.
func TestIssuerAliases(t *testing.T) {
	const alias = "issuer.example"
	text := token(claims(time.Now()).with(object{"iss": alias}))
	rejects(t, validator(t, config(), edKeys()), text, authn.ErrOtherMethod, authnjwt.ErrIssuer)
	c := config()
	c.IssuerAliases = []string{alias}
	for _, named := range []string{"", issuer, alias} {
		var list authnjwt.Revocations
		v := validator(t, c, edKeys(), authnjwt.WithRevocations(&list))
		accepts(t, v, token(claims(time.Now())))
		rejects(t, v, token(claims(time.Now()).with(object{"iss": alias + "/"})), authn.ErrOtherMethod)
		if id := accepts(t, v, text); id.Issuer != issuer {
			t.Errorf("the issuer of the identity is %q; want %q", id.Issuer, issuer)
		}
		if err := list.Revoke(authnjwt.Revocation{Issuer: named, ID: "42"}); err != nil {
			t.Fatal(err)
		}
		rejects(t, v, text, authn.ErrTokenRevoked)
	}
}

// TestSharedIssuer: a second validator for an issuer would judge no token, which hauberk.New reports.
func TestSharedIssuer(t *testing.T) {
	of := func(issuer string, aliases ...string) authn.Method {
		c := config()
		c.Issuer, c.IssuerAliases = issuer, aliases
		return validator(t, c, edKeys())
	}
	opaque := authn.Bearer(func(context.Context, string) (*authn.Identity, error) { return nil, authn.ErrInvalidToken })
	for name, test := range map[string]struct {
		methods []authn.Method
		want    string // "" if the methods are good
	}{
		"different issuers": {[]authn.Method{of("https://a"), of("https://b", "c"), opaque}, ""},
		"the same":          {[]authn.Method{of("https://a"), of("https://a")}, `methods 1 and 2, jwt and jwt, both judge the tokens of the issuer "https://a"`},
		"an alias":          {[]authn.Method{opaque, of("https://a", "b"), of("b", "c")}, `methods 2 and 3, jwt and jwt, both judge the tokens of the issuer "b"`},
		"of both":           {[]authn.Method{of("https://a", "c"), of("b", "c")}, `the issuer "c"`},
	} {
		_, err := hauberk.New(authn.New(authn.Config{}, test.methods...))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
}

// TestCauses: the error of a token, which is for logs, has the values that are wrong, escaped and cut.
func TestCauses(t *testing.T) {
	now := time.Now()
	v := validator(t, config(), edKeys())
	for name, test := range map[string]struct {
		claims object
		want   []string
	}{
		"audience":     {object{"aud": "bank"}, []string{`"aud" is "bank"; want one of "shop"`}},
		"audiences":    {object{"aud": []string{"a", "b\n", "c", "d", "e"}}, []string{`"a", "b\n", "c" and 2 more`}},
		"no audiences": {object{"aud": []string{}}, []string{"is empty"}},
		"long":         {object{"aud": strings.Repeat("x", 1000)}, []string{"and 936 more bytes"}},
		"milliseconds": {object{"exp": int64(1799999999999)}, []string{"exp is 1799999999999", "not milliseconds"}},
		"nanoseconds":  {object{"nbf": 1.8e18}, []string{"nbf is 1.8e+18", "out of range"}},
		"a string":     {object{"iat": "now"}, []string{"iat is not a number"}},
		"issuer":       {object{"iss": "https://other.example"}, []string{`"https://other.example"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Validate(t.Context(), token(claims(now).with(test.claims)))
			if err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v; want an error of one line", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q", err, want)
				}
			}
		})
	}
}
