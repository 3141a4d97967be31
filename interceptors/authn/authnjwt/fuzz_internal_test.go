package authnjwt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

func fuzzed(t testing.TB) *Validator {
	t.Helper()
	v := New(Config{
		Issuer: "i", Audiences: []string{"a"}, Algorithms: []string{"HS256"}, RolesClaim: "r.s", TenantClaim: "t",
		RequiredClaims: map[string][]string{"q": {"1", "true"}},
	}, WithSecrets([]byte(strings.Repeat("s", 32))), WithLogger(slog.New(slog.DiscardHandler)))
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	return v
}

var compact = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$`)

// FuzzToken: each text is rejected, never with a panic. What passes the parser has the form of RFC
// 7515, and reads the same to the standard library.
func FuzzToken(f *testing.F) {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, header := range []string{
		`{"alg":"HS256"}`, `{"alg":"none"}`, `{"alg":"HS256","kid":"1","typ":"JWT"}`, `{"alg":"HS256","crit":["b64"],"b64":false}`, `{"alg":1}`,
		`{"alg":"HS256","alg":"none"}`, `[]`, `null`, "\xff", `{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`,
	} {
		for _, payload := range []string{`{"iss":"i","aud":"a","exp":99999999999,"sub":"s"}`, `{"iss":"i","exp":1e400}`, `{"iss":["i"]}`, `{"iss":"i","iss":"i"}`, ``, `{`} {
			f.Add(part(header) + "." + part(payload) + ".AAAA")
		}
	}
	f.Add(part(`{"alg":"HS256"}`) + ".e30.")
	f.Add("..")
	f.Add("a.b")
	f.Add("a.b.c.d.e")
	f.Add(strings.Repeat("a", 1<<16))
	v := fuzzed(f)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Validate(t.Context(), token); err == nil {
			t.Fatalf("%q is accepted", token)
		} else if !errors.Is(err, authn.ErrInvalidToken) && !errors.Is(err, authn.ErrOtherMethod) {
			t.Fatalf("%q: %v; want that the token is invalid, or for another method", token, err)
		}
		p, err := v.parse(token)
		if err != nil {
			return
		}
		if !compact.MatchString(token) || len(token) > v.config.MaxTokenBytes {
			t.Fatalf("%q is parsed", token)
		}
		if got := base64.RawURLEncoding.EncodeToString(p.payload); got != strings.Split(token, ".")[1] {
			t.Fatalf("the payload of %q is encoded as %q", token, got)
		}
		var claims map[string]any
		if err := json.Unmarshal(p.payload, &claims); err != nil || !reflect.DeepEqual(claims, p.claims) {
			t.Fatalf("%q has the claims %v; the standard library reads %v, %v", token, p.claims, claims, err)
		}
		if _, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256}); err == nil && p.head.algorithm != "HS256" {
			t.Fatalf("%q has the algorithm %q; go-jose accepts it as HS256", token, p.head.algorithm)
		}
	})
}

// FuzzClaims: no claims make the judgement panic; what is accepted is of the audience and not expired.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		`{"iss":"i","aud":"a","exp":9999999999,"sub":"s","q":1}`, `{"aud":["a"],"exp":9999999999.5,"sub":"s","q":[true],"r":{"s":["x"]},"scope":"a b"}`,
		`{"aud":[["a"]],"exp":-1e300}`, `{"exp":"1"}`, `{"sub":null,"r":null,"scp":[null]}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	v := fuzzed(f)
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, err := parseObject(payload, claimsDepth)
		if err != nil {
			return
		}
		got, err := v.judge(&parsed{payload: payload, claims: claims}, now)
		if err != nil {
			if !errors.Is(err, authn.ErrInvalidToken) && !errors.Is(err, authn.ErrTokenExpired) {
				t.Fatalf("%q: %v", payload, err)
			}
			return
		}
		exp, _ := claims["exp"].(float64)
		if got.identity.Subject == "" || got.identity.Subject != claims["sub"] || exp <= float64(now.Unix()) || claims["q"] == nil {
			t.Fatalf("%q is accepted as %+v", payload, got.identity)
		}
	})
}

// FuzzKeySet: no JWK Set makes the parser panic, and no key that it returns is a secret.
func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"1"}]}`,
		`{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}`, `<html>`,
	} {
		f.Add([]byte(seed))
	}
	parse := parseKeySet(100)
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := parse(data)
		if err != nil {
			return
		}
		for _, k := range set.keys {
			if _, secret := k.value.([]byte); secret || k.anyID || len(k.id) > maxKeyIDBytes || k.fits("HS256") || k.fits("none") {
				t.Fatalf("%q has the key %+v", data, k)
			}
		}
	})
}

// FuzzRevocations: each entry of a file that is accepted names a token or a subject.
func FuzzRevocations(f *testing.F) {
	for _, seed := range []string{"jti 1\nsub a\r\n# c\n\niss i sub a b\n", "iss i jti ", "\xff", "sub"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := ParseRevocations(text)
		if err != nil {
			return
		}
		if err := new(Revocations).Replace(list); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// FuzzClaimPath: a path that is accepted is the one that its names make, written with escapes.
func FuzzClaimPath(f *testing.F) {
	for _, seed := range []string{"sub", "realm_access.roles", `resource_access.my\.app.roles`, `a\\b`, `a\`, `\n`, "a..b", "https://i.example/x", ""} {
		f.Add(seed)
	}
	escape := strings.NewReplacer(`\`, `\\`, ".", `\.`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseClaimPath(text)
		if err != nil {
			return
		}
		var names []string
		for _, name := range p.names {
			names = append(names, escape.Replace(name))
		}
		if got := strings.Join(names, "."); got != text {
			t.Fatalf("%q is parsed as %q", text, p.names)
		}
		claims := map[string]any{}
		at := claims
		for _, name := range p.names[:len(p.names)-1] {
			next := map[string]any{}
			at[name] = next
			at = next
		}
		at[p.names[len(p.names)-1]] = "found"
		if value, has, err := p.in(claims); value != "found" || !has || err != nil {
			t.Fatalf("%q finds %v, %t, %v", text, value, has, err)
		}
	})
}

// FuzzDecimal: the text of a number of JSON is its exact value, without an exponent.
func FuzzDecimal(f *testing.F) {
	for _, seed := range []string{"0", "-0", "3", "3.0", "0.50", "9007199254740993", "1e21", "12.5E-1", "1e400", "1e-400", "1e999999999", "5e-324"} {
		f.Add(seed)
	}
	plain := regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d*[1-9])?$`)
	f.Fuzz(func(t *testing.T, number string) {
		if !json.Valid([]byte(number)) || strings.Trim(number, "+-.0123456789eE") != "" {
			return
		}
		text, ok := decimal(josejson.Number(number))
		if !ok {
			return
		}
		want, _ := new(big.Rat).SetString(number)
		got, isNumber := new(big.Rat).SetString(text)
		if !isNumber || got.Cmp(want) != 0 || !plain.MatchString(text) || len(text) > 2*maxDigits+maxExponent {
			t.Fatalf("%s has the text %s", number, text)
		}
	})
}
