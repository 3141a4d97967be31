package reports_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// TestReportKeysNotUnderstood: keys of a JWK Set that are not understood or are malformed do not keep the others from
// verifying tokens (RFC 7517, section 5), of any media type (coreos/go-oidc#490, coreos/go-oidc#498,
// coreos/go-oidc#459, dexidp/dex#4813, PrefectHQ/fastmcp#4515).
func TestReportKeysNotUnderstood(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for name, key := range map[string]any{
		"Ed448":                object{"kty": "OKP", "use": "sig", "crv": "Ed448", "kid": "a", "x": "AA"},
		"X448":                 object{"kty": "OKP", "use": "enc", "crv": "X448", "kid": "a", "x": "AA"},
		"secp256k1":            object{"kty": "EC", "crv": "secp256k1", "kid": "a", "x": "AA", "y": "AA", "alg": "ES256K"},
		"an unknown alg":       object{"kty": "AKP", "kid": "a", "alg": "ML-DSA-44", "pub": "AA"},
		"alg RSA":              publicKey().with(object{"kid": "a", "alg": "RSA"}),
		"a short y":            object{"kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": ""},
		"an empty certificate": publicKey().with(object{"kid": "a", "crv": "", "exp": "", "x5c": []string{""}}),
		"no kty":               object{"kid": "a"},
		"no object":            "a",
		"null":                 nil,
	} {
		for _, kind := range []string{"application/jwk-set+json; charset=UTF-8", "text/plain", ""} {
			for _, set := range [][]any{{key, publicKey()}, {publicKey(), key}} {
				s := site(t, answering(kind, object{"keys": set}.String()))
				verifying(t, s, authnjwt.Config{}).wants(t, name, codes.OK, "authorization", "Bearer "+token("1", claims()))
			}
		}
	}
}

// TestReportUnknownKeyWaits: tokens with unknown key ids are judged at once, and do not wait in turn until the
// next fetch is allowed (MicahParks/jwkset#26, wundergraph/cosmo#2216). The clock does not move.
func TestReportUnknownKeyWaits(t *testing.T) {
	hauberktest.CheckLeaks(t)
	s := site(t, answering("application/json", object{"keys": []any{publicKey()}}.String()))
	to := verifying(t, s, authnjwt.Config{}, authnjwt.WithClock(hauberktest.NewClock().Now))
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			err := to.call(ctx, hauberk.Unary, nil, "authorization", "Bearer "+token("gone", claims().with(object{"exp": 1})))
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("%v; want UNAUTHENTICATED", err)
			}
		})
	}
	group.Wait()
	to.wants(t, "a good token", codes.OK, "authorization", "Bearer "+token("1", claims()))
}

// TestReportIssuerVerbatim: an issuer is compared as it is, with or without a slash at its end, also with the issuer's
// configuration (ory/oathkeeper#527, okta/okta-jwt-verifier-golang#106).
func TestReportIssuerVerbatim(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, slash := range []string{"", "/"} {
		var s *httptest.Server
		s = site(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/tenant/.well-known/openid-configuration":
				answering("application/json", object{"issuer": s.URL + "/tenant" + slash, "jwks_uri": s.URL + "/keys"}.String())(w, r)
			case "/keys":
				answering("application/json", object{"keys": []any{publicKey()}}.String())(w, r)
			default:
				http.NotFound(w, r)
			}
		})
		to := verifying(t, s, authnjwt.Config{Issuer: s.URL + "/tenant" + slash, Discovery: true})
		own := claims().with(object{"iss": s.URL + "/tenant" + slash})
		to.wants(t, "the issuer", codes.OK, "authorization", "Bearer "+token("1", own))
		for _, other := range []string{s.URL + "/tenant", s.URL + "/tenant/", s.URL + "/tenant//", s.URL + "/Tenant"} {
			if other != own["iss"] {
				to.wants(t, other, codes.Unauthenticated, "authorization", "Bearer "+token("1", own.with(object{"iss": other})))
			}
		}
	}
}

// TestReportEmptyIssuer: a token without an issuer, or with an empty one, is not a token of the issuer
// (envoyproxy/envoy#20279).
func TestReportEmptyIssuer(t *testing.T) {
	hauberktest.CheckLeaks(t)
	s := site(t, answering("application/json", object{"keys": []any{publicKey()}}.String()))
	to := verifying(t, s, authnjwt.Config{})
	for name, iss := range map[string]any{"none": nil, "empty": "", "a space": " ", "another": "https://other.example"} {
		to.wants(t, name, codes.Unauthenticated, "authorization", "Bearer "+token("1", claims().with(object{"iss": iss})))
	}
}

// TestReportTimeBoundaries: a token is valid from the very second of "nbf" on, and no longer in that of "exp" (RFC 7519, 4.1.4 and
// 4.1.5; lestrrat-go/jwx#378, SermoDigital/jose#14).
func TestReportTimeBoundaries(t *testing.T) {
	hauberktest.CheckLeaks(t)
	s := site(t, answering("application/json", object{"keys": []any{publicKey()}}.String()))
	now := time.Now().Add(time.Hour).Truncate(time.Second) // identities must not have expired
	to := verifying(t, s, authnjwt.Config{}, authnjwt.WithClock(func() time.Time { return now }))
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	good := claims().with(object{"exp": at(time.Hour)})
	to.wants(t, "nbf is now", codes.OK, "authorization", "Bearer "+token("1", good.with(object{"nbf": at(0)})))
	to.wants(t, "nbf is a second away", codes.Unauthenticated, "authorization", "Bearer "+token("1", good.with(object{"nbf": at(time.Second)})))
	to.wants(t, "exp is now", codes.Unauthenticated, "authorization", "Bearer "+token("1", good.with(object{"exp": at(0)})))
	to.wants(t, "exp is a second away", codes.OK, "authorization", "Bearer "+token("1", good.with(object{"exp": at(time.Second)})))
}
