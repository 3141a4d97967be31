package authnjwt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConfig: what is wrong with the settings is an error of hauberk.New, and of no call.
func TestConfig(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		write(t, path, content)
		return path
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := func(change func(*authnjwt.Config)) authnjwt.Config {
		c := config()
		change(&c)
		return c
	}
	onlyKeys := []authnjwt.Option{edKeys()}
	hs := func(c *authnjwt.Config) { c.Algorithms = []string{"HS256"} }
	for name, test := range map[string]struct {
		config  authnjwt.Config
		options []authnjwt.Option
		want    []string
	}{
		"nothing":          {authnjwt.Config{}, nil, []string{"Config.Issuer", "Config.Audiences", "Config.Algorithms", "0 sources"}},
		"no issuer":        {c(func(c *authnjwt.Config) { c.Issuer = "" }), onlyKeys, []string{"Config.Issuer"}},
		"alias":            {c(func(c *authnjwt.Config) { c.IssuerAliases = []string{""} }), onlyKeys, []string{"Config.IssuerAliases"}},
		"alias of itself":  {c(func(c *authnjwt.Config) { c.IssuerAliases = []string{issuer} }), onlyKeys, []string{"Config.IssuerAliases"}},
		"keys of a type":   {c(func(c *authnjwt.Config) { c.Algorithms = []string{"RS256"} }), []authnjwt.Option{authnjwt.WithPublicKeys(p256().Public(), edKey().Public())}, []string{"2 keys, and none for the algorithms [RS256]: EC P-256 for ES256, Ed25519 for EdDSA"}},
		"key with an alg":  {config(), []authnjwt.Option{authnjwt.WithKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), Algorithm: "RS256"}}})}, []string{`RSA, with the alg "RS256"`}},
		"no audiences":     {c(func(c *authnjwt.Config) { c.Audiences = nil }), onlyKeys, []string{"Config.Audiences"}},
		"empty audience":   {c(func(c *authnjwt.Config) { c.Audiences = []string{"a", ""} }), onlyKeys, []string{"Config.Audiences"}},
		"no algorithms":    {c(func(c *authnjwt.Config) { c.Algorithms = nil }), onlyKeys, []string{"Config.Algorithms"}},
		"none":             {c(func(c *authnjwt.Config) { c.Algorithms = []string{"none"} }), onlyKeys, []string{`"none"`}},
		"other case":       {c(func(c *authnjwt.Config) { c.Algorithms = []string{"eddsa"} }), onlyKeys, []string{`"eddsa"`}},
		"no keys":          {config(), nil, []string{"0 sources"}},
		"two sources":      {c(func(c *authnjwt.Config) { c.JWKSFile = "x" }), onlyKeys, []string{"2 sources (Config.JWKSFile, WithKeys)", "want exactly one of Config.JWKSFile, JWKSURL, Discovery"}},
		"HS with keys":     {c(func(c *authnjwt.Config) { c.Algorithms = []string{"EdDSA", "HS256"} }), onlyKeys, []string{"HS256, with keys from WithKeys"}},
		"HS with JWKS":     {c(func(c *authnjwt.Config) { hs(c); c.JWKSURL = "https://issuer.example/keys" }), nil, []string{"HS256, with keys from Config.JWKSURL"}},
		"HS by discovery":  {c(func(c *authnjwt.Config) { hs(c); c.Discovery = true }), nil, []string{"HS256, with keys from Config.Discovery"}},
		"HS with file":     {c(func(c *authnjwt.Config) { hs(c); c.JWKSFile = "x" }), nil, []string{"HS256, with keys from Config.JWKSFile"}},
		"mixed with HS":    {c(func(c *authnjwt.Config) { c.Algorithms = []string{"HS256", "RS256"} }), []authnjwt.Option{authnjwt.WithSecrets(hsSecret)}, []string{"RS256, with keys from WithSecrets"}},
		"short secret":     {c(func(c *authnjwt.Config) { c.Algorithms = []string{"HS256", "HS512"} }), []authnjwt.Option{authnjwt.WithSecrets(hsSecret[:63])}, []string{"63 bytes", "64 for HS512"}},
		"short file":       {c(func(c *authnjwt.Config) { hs(c); c.SecretFile = file("short", "  secret\n") }), nil, []string{"6 bytes", "32 for HS256"}},
		"no file":          {c(func(c *authnjwt.Config) { c.JWKSFile = filepath.Join(dir, "absent") }), nil, []string{"absent", "no such file"}},
		"garbage":          {c(func(c *authnjwt.Config) { c.JWKSFile = file("garbage", "<html>") }), nil, []string{"garbage", "not a JWK Set"}},
		"large file":       {c(func(c *authnjwt.Config) { c.JWKSFile = file("large", jwks()+strings.Repeat(" ", 1<<20)) }), nil, []string{"large", "1048576 bytes"}},
		"no keys in it":    {c(func(c *authnjwt.Config) { c.JWKSFile = file("empty", jwks()) }), nil, []string{"empty", "0 keys"}},
		"other keys in it": {c(func(c *authnjwt.Config) { c.JWKSFile = file("rsa", jwks(jwk(rsaKey().Public(), nil))) }), nil, []string{"none for the algorithms [EdDSA]"}},
		"bad revocations":  {c(func(c *authnjwt.Config) { c.RevocationsFile = file("revoked", "alice\n") }), onlyKeys, []string{"revoked", "line 1"}},
		"http":             {c(func(c *authnjwt.Config) { c.JWKSURL = "http://127.0.0.1/keys" }), nil, []string{"AllowHTTP"}},
		"ftp":              {c(func(c *authnjwt.Config) { c.JWKSURL, c.AllowHTTP = "ftp://127.0.0.1/keys", true }), nil, []string{`scheme is "ftp"`}},
		"no URL":           {c(func(c *authnjwt.Config) { c.JWKSURL = "keys" }), nil, []string{"no host"}},
		"user in URL":      {c(func(c *authnjwt.Config) { c.JWKSURL = "https://me:secret@issuer.example/" }), nil, []string{"a user"}},
		"issuer, no URL":   {c(func(c *authnjwt.Config) { c.Issuer, c.Discovery = "issuer", true }), nil, []string{"Config.Issuer", "no host"}},
		"negative leeway":  {c(func(c *authnjwt.Config) { c.Leeway = -1 }), onlyKeys, []string{"Leeway"}},
		"long leeway":      {c(func(c *authnjwt.Config) { c.Leeway = time.Hour }), onlyKeys, []string{"Leeway is 1h"}},
		"negative size":    {c(func(c *authnjwt.Config) { c.MaxTokenBytes = -1 }), onlyKeys, []string{"MaxTokenBytes"}},
		"empty name":       {c(func(c *authnjwt.Config) { c.TenantClaim, c.RolesClaim = "a..b", "a." }), onlyKeys, []string{`TenantClaim is "a..b"`, `RolesClaim is "a."`}},
		"bad escapes":      {c(func(c *authnjwt.Config) { c.SubjectClaim, c.RolesClaim = `a\b`, `a\` }), onlyKeys, []string{"SubjectClaim", "RolesClaim"}},
		"unnamed claim":    {c(func(c *authnjwt.Config) { c.RequiredClaims = map[string][]string{"": nil} }), onlyKeys, []string{"RequiredClaims"}},
		"negative times":   {c(func(c *authnjwt.Config) { c.Refresh = authnjwt.Refresh{Timeout: -1, MaxBytes: -1} }), onlyKeys, []string{"Refresh.Timeout", "MaxBytes -1"}},
		"stale at once":    {c(func(c *authnjwt.Config) { c.Refresh = authnjwt.Refresh{MaxStale: time.Second} }), onlyKeys, []string{"MaxStale 1s"}},
		"private key":      {config(), []authnjwt.Option{authnjwt.WithPublicKeys(edKey())}, []string{"private"}},
		"secret as key":    {config(), []authnjwt.Option{authnjwt.WithKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: hsSecret, KeyID: "s"}}})}, []string{`"s"`, "secret"}},
		"encryption key":   {config(), []authnjwt.Option{authnjwt.WithKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: edKey().Public(), Use: "enc"}}})}, []string{`"enc"`}},
		"weak key":         {config(), []authnjwt.Option{authnjwt.WithPublicKeys(weak.Public())}, []string{"1024 bits"}},
		"other curve":      {config(), []authnjwt.Option{authnjwt.WithPublicKeys(p224.Public())}, []string{"P-256"}},
		"nil keys":         {config(), []authnjwt.Option{authnjwt.WithPublicKeys(nil, (*rsa.PublicKey)(nil), (*ecdsa.PublicKey)(nil))}, []string{"not supported"}},
		"no static keys":   {config(), []authnjwt.Option{authnjwt.WithPublicKeys()}, []string{"WithPublicKeys has 0 keys"}},
		"nil options":      {config(), []authnjwt.Option{edKeys(), nil, authnjwt.WithClock(nil), authnjwt.WithLogger(nil), authnjwt.WithHTTPClient(nil), authnjwt.WithRevocations(nil)}, []string{"WithClock", "WithLogger", "WithHTTPClient", "WithRevocations"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := authnjwt.New(test.config, test.options...)
			defer v.Close()
			_, err := hauberk.New(authn.New(authn.Config{}, v))
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q", err, want)
				}
			}
			if _, err := v.Validate(t.Context(), token(claims(time.Now()))); err == nil {
				t.Error("a validator with wrong settings accepts a token")
			}
		})
	}
}

// TestIdentity: claims become fields of the identity, and those that are required are checked.
func TestIdentity(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	good := claims(now).with(object{
		"client_id": "app", "tid": "acme", "realm_access": object{"roles": []string{"buyer", "admin"}, "x.y": []string{"dotted"}},
		"https://issuer.example/roles": []string{"by name"}, "scope": "cart  pay", "scp": []string{"not this"},
		"https://issuer.example/app": object{"roles": "by path"}, "act": object{"sub": "proxy"}, "org": object{"id": "acme-1", "n": 3},
		"resource_access": object{"my.app": object{"roles": "owner"}, `my\app`: object{"roles": "guest"}},
		"dotted":          object{"roles": "path"}, "dotted.roles": "whole",
		"big": json.Number("9007199254740993"), "float": json.Number("9007199254740993.0"), "short": json.Number("12.50e-1"),
		"tiny": json.Number("1e-401"), "wide": json.Number("0." + strings.Repeat("0", 400) + "1"), "list": []any{json.Number("9007199254740993")},
		"tier": 3, "verified": true, "groups": []any{"staff", 7, []any{"nested"}}, "null": nil,
	})
	for name, test := range map[string]struct {
		change func(*authnjwt.Config)
		claims object
		check  func(id *authn.Identity) (got, want any)
		err    error
	}{
		"subject":                  {nil, nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"other claim":              {func(c *authnjwt.Config) { c.SubjectClaim = "client_id" }, nil, func(id *authn.Identity) (any, any) { return id.Subject, "app" }, nil},
		"no claim":                 {func(c *authnjwt.Config) { c.SubjectClaim = "email" }, nil, nil, authnjwt.ErrRequiredClaim},
		"sub of the wrong type":    {func(c *authnjwt.Config) { c.SubjectClaim = "client_id" }, object{"sub": 1}, nil, authnjwt.ErrClaims},
		"no tenant":                {nil, nil, func(id *authn.Identity) (any, any) { return id.Tenant, "" }, nil},
		"tenant":                   {func(c *authnjwt.Config) { c.TenantClaim = "tid" }, nil, func(id *authn.Identity) (any, any) { return id.Tenant, "acme" }, nil},
		"tenant of the wrong type": {func(c *authnjwt.Config) { c.TenantClaim = "tid" }, object{"tid": []string{"acme"}}, nil, authnjwt.ErrClaims},
		"no roles":                 {nil, nil, func(id *authn.Identity) (any, any) { return id.Roles, []string(nil) }, nil},
		"roles":                    {func(c *authnjwt.Config) { c.RolesClaim = "realm_access.roles" }, nil, func(id *authn.Identity) (any, any) { return id.Roles, []string{"buyer", "admin"} }, nil},
		"roles by name":            {func(c *authnjwt.Config) { c.RolesClaim = "https://issuer.example/roles" }, nil, func(id *authn.Identity) (any, any) { return id.Roles, []string{"by name"} }, nil},
		"one role":                 {func(c *authnjwt.Config) { c.RolesClaim = "role" }, object{"role": "admin"}, func(id *authn.Identity) (any, any) { return id.Roles, []string{"admin"} }, nil},
		"roles are missing":        {func(c *authnjwt.Config) { c.RolesClaim = "a.b.c" }, object{"a": object{}}, func(id *authn.Identity) (any, any) { return id.Roles, []string(nil) }, nil},
		"roles are a number":       {func(c *authnjwt.Config) { c.RolesClaim = "role" }, object{"role": 1}, nil, authnjwt.ErrClaims},
		"roles have a number":      {func(c *authnjwt.Config) { c.RolesClaim = "a.b" }, object{"a": object{"b": []any{"x", 1}}}, nil, authnjwt.ErrClaims},
		"no object on the path":    {func(c *authnjwt.Config) { c.RolesClaim = "a.b" }, object{"a": "b"}, nil, authnjwt.ErrClaims},
		"null on the path":         {func(c *authnjwt.Config) { c.RolesClaim = "null.b" }, nil, func(id *authn.Identity) (any, any) { return id.Roles, []string(nil) }, nil},
		"a dot in a name":          {func(c *authnjwt.Config) { c.RolesClaim = `resource_access.my\.app.roles` }, nil, func(id *authn.Identity) (any, any) { return id.Roles, []string{"owner"} }, nil},
		"a backslash in a name":    {func(c *authnjwt.Config) { c.RolesClaim = `resource_access.my\\app.roles` }, nil, func(id *authn.Identity) (any, any) { return id.Roles, []string{"guest"} }, nil},
		"a member of a URL":        {func(c *authnjwt.Config) { c.RolesClaim = `https://issuer\.example/app.roles` }, nil, func(id *authn.Identity) (any, any) { return id.Roles, []string{"by path"} }, nil},
		"the whole name wins":      {func(c *authnjwt.Config) { c.RolesClaim = "dotted.roles" }, nil, func(id *authn.Identity) (any, any) { return id.Roles, []string{"whole"} }, nil},
		"subject on a path":        {func(c *authnjwt.Config) { c.SubjectClaim = "act.sub" }, nil, func(id *authn.Identity) (any, any) { return id.Subject, "proxy" }, nil},
		"tenant on a path":         {func(c *authnjwt.Config) { c.TenantClaim = "org.id" }, nil, func(id *authn.Identity) (any, any) { return id.Tenant, "acme-1" }, nil},
		"tenant is not an object":  {func(c *authnjwt.Config) { c.TenantClaim = "tid.id" }, nil, nil, authnjwt.ErrClaims},
		"a claim without a name":   {nil, object{"": "evil"}, func(id *authn.Identity) (any, any) { return id.Tenant, "" }, nil},
		"scope":                    {nil, nil, func(id *authn.Identity) (any, any) { return id.Scopes, []string{"cart", "pay"} }, nil},
		"scope array":              {nil, object{"scope": []string{"cart", "pay all"}}, func(id *authn.Identity) (any, any) { return id.Scopes, []string{"cart", "pay all"} }, nil},
		"scp":                      {nil, object{"scope": nil}, func(id *authn.Identity) (any, any) { return id.Scopes, []string{"not this"} }, nil},
		"scp string":               {nil, object{"scope": nil, "scp": "a b"}, func(id *authn.Identity) (any, any) { return id.Scopes, []string{"a", "b"} }, nil},
		"claims":                   {nil, nil, func(id *authn.Identity) (any, any) { return id.Claims["tier"], 3.0 }, nil},
		"large numbers": {nil, nil, func(id *authn.Identity) (any, any) {
			return []any{id.Claims["big"], id.Claims["list"], id.Claims["float"]}, []any{int64(9007199254740993), []any{int64(9007199254740993)}, 9007199254740993.0}
		}, nil},
		"expires":                {func(c *authnjwt.Config) { c.Leeway = time.Minute }, nil, func(id *authn.Identity) (any, any) { return id.Expires.Unix(), now.Add(time.Hour + time.Minute).Unix() }, nil},
		"no list of revocations": {nil, nil, func(id *authn.Identity) (any, any) { return id.Revoked == nil, true }, nil},

		"required, there":     {required("tid"), nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"required, missing":   {required("email"), nil, nil, authnjwt.ErrRequiredClaim},
		"required, null":      {required("null"), nil, nil, authnjwt.ErrRequiredClaim},
		"required value":      {required("tid", "other", "acme"), nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"required, another":   {required("tid", "acm"), nil, nil, authnjwt.ErrRequiredClaim},
		"required number":     {required("tier", "3"), nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"required boolean":    {required("verified", "true"), nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"required in array":   {required("groups", "7"), nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"required, nested":    {required("groups", "nested"), nil, nil, authnjwt.ErrRequiredClaim},
		"required on a path":  {required("org.n", "3"), nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"required, not there": {required("org.m", "3"), nil, nil, authnjwt.ErrRequiredClaim},
		"exact number":        {required("big", "9007199254740993"), nil, func(id *authn.Identity) (any, any) { return id.Claims["big"], int64(9007199254740993) }, nil},
		"the next number":     {required("big", "9007199254740992"), nil, nil, authnjwt.ErrRequiredClaim},
		"exact, with a dot":   {required("float", "9007199254740993"), nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"exact, in an array":  {required("list", "9007199254740992"), nil, nil, authnjwt.ErrRequiredClaim},
		"an exponent":         {required("short", "1.25"), nil, func(id *authn.Identity) (any, any) { return id.Subject, "alice" }, nil},
		"nearly zero":         {required("tiny", "0"), nil, nil, authnjwt.ErrRequiredClaim},
		"many digits":         {required("wide", "0"), nil, nil, authnjwt.ErrRequiredClaim},
		"required, an object": {required("realm_access", "roles"), nil, nil, authnjwt.ErrRequiredClaim},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			if test.change != nil {
				test.change(&c)
			}
			v := validator(t, c, edKeys())
			if test.err != nil {
				rejects(t, v, token(good.with(test.claims)), test.err, authn.ErrInvalidToken)
				return
			}
			if got, want := test.check(accepts(t, v, token(good.with(test.claims)))); !reflect.DeepEqual(got, want) {
				t.Errorf("%v; want %v", got, want)
			}
		})
	}
}

func required(name string, values ...string) func(*authnjwt.Config) {
	return func(c *authnjwt.Config) { c.RequiredClaims = map[string][]string{name: values} }
}

// TestType: a configured type is required, in any case and with or without "application/".
func TestType(t *testing.T) {
	c := config()
	c.Type = "at+jwt"
	v := validator(t, c, edKeys())
	for typ, good := range map[string]bool{"at+jwt": true, "AT+JWT": true, "application/at+jwt": true, "JWT": false, "": false, "application/": false, "at": false} {
		text := signed("EdDSA", edKey(), object{"alg": "EdDSA", "typ": typ}.String(), claims(time.Now()).String())
		if good {
			accepts(t, v, text)
		} else {
			rejects(t, v, text, authn.ErrInvalidToken, authnjwt.ErrType)
		}
	}
	rejects(t, v, token(claims(time.Now())), authn.ErrInvalidToken, authnjwt.ErrType)
}
