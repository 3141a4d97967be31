package authz_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

var alice = &hauberk.Identity{
	Subject: "alice", Issuer: "https://issuer.example", Tenant: "acme", Method: "jwt",
	Scopes: []string{"cart.read", "cart.write"}, Roles: []string{"buyer"},
	Claims: map[string]any{"groups": []any{"staff"}, "level": 3.0, "admin": true},
}

// what a rule does to a call, in Allow and in Deny.
const (
	matches    = "matches"     // allows, denies
	matchesNot = "matches not" // does not allow, does not deny
	missing    = "missing"     // does not allow, denies
)

func tlsOf(cert *x509.Certificate) credentials.AuthInfo {
	info := credentials.TLSInfo{}
	if cert != nil {
		info.State = tls.ConnectionState{
			PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}},
		}
	}
	return info
}

// unverified is TLS with a certificate that nothing verified.
func unverified(cert *x509.Certificate) credentials.AuthInfo {
	return credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}}
}

// Each field of a rule, alone.
func TestFields(t *testing.T) {
	spiffe, _ := url.Parse("spiffe://example/ns/a")
	other, _ := url.Parse("spiffe://example/ns/b")
	two := &x509.Certificate{URIs: []*url.URL{other, spiffe}, DNSNames: []string{"a.example"}}
	dns := &x509.Certificate{DNSNames: []string{"a.example", "b.example"}, Subject: pkix.Name{CommonName: "c"}}
	subject := &x509.Certificate{Subject: pkix.Name{CommonName: "c"}}
	meta := func(key string, values ...string) authz.Rule {
		return authz.Rule{Metadata: []authz.MetadataMatch{{Key: key, Values: values}}}
	}
	lax := func(name string) authz.Rule {
		return authz.Rule{Principals: []string{name}, UnverifiedPrincipals: true}
	}
	many := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "alice"}
	for name, c := range map[string]struct {
		rule authz.Rule
		r    request
		want string
	}{
		"no field":         {authz.Rule{}, request{}, matches},
		"subject":          {authz.Rule{Subjects: []string{"bob", "alice"}}, request{id: alice}, matches},
		"other subject":    {authz.Rule{Subjects: []string{"bob"}}, request{id: alice}, matchesNot},
		"many subjects":    {authz.Rule{Subjects: many}, request{id: alice}, matches},
		"none of many":     {authz.Rule{Subjects: many[:9]}, request{id: alice}, matchesNot},
		"subject prefix":   {authz.Rule{Subjects: []string{"al*"}}, request{id: alice}, matches},
		"subject suffix":   {authz.Rule{Subjects: []string{"*ice"}}, request{id: alice}, matches},
		"any subject":      {authz.Rule{Subjects: []string{"*"}}, request{id: alice}, matches},
		"part of subject":  {authz.Rule{Subjects: []string{"lic"}}, request{id: alice}, matchesNot},
		"no identity":      {authz.Rule{Subjects: []string{"*"}}, request{}, missing},
		"empty subject":    {authz.Rule{Subjects: []string{"*"}}, request{id: &hauberk.Identity{}}, missing},
		"issuer":           {authz.Rule{Issuers: []string{"https://issuer.example"}}, request{id: alice}, matches},
		"no issuer":        {authz.Rule{Issuers: []string{"*"}}, request{id: &hauberk.Identity{Subject: "a"}}, missing},
		"tenant":           {authz.Rule{Tenants: []string{"acme"}}, request{id: alice}, matches},
		"no tenant":        {authz.Rule{Tenants: []string{"acme"}}, request{id: &hauberk.Identity{Subject: "a"}}, missing},
		"scope":            {authz.Rule{Scopes: []string{"x", "cart.write"}}, request{id: alice}, matches},
		"other scope":      {authz.Rule{Scopes: []string{"cart"}}, request{id: alice}, matchesNot},
		"role":             {authz.Rule{Roles: []string{"buyer"}}, request{id: alice}, matches},
		"no roles":         {authz.Rule{Roles: []string{"buyer"}}, request{id: &hauberk.Identity{Subject: "a"}}, matchesNot},
		"two fields":       {authz.Rule{Roles: []string{"buyer"}, Tenants: []string{"acme"}}, request{id: alice}, matches},
		"one of two":       {authz.Rule{Roles: []string{"seller"}, Tenants: []string{"acme"}}, request{id: alice}, matchesNot},
		"false beats none": {authz.Rule{Roles: []string{"seller"}, Tenants: []string{"x"}}, request{id: &hauberk.Identity{Subject: "a"}}, matchesNot},
		"metadata":         {meta("X-Env", "prod"), request{md: md("x-env", "prod")}, matches},
		"other value":      {meta("x-env", "prod"), request{md: md("x-env", "test")}, matchesNot},
		"no key":           {meta("x-env", "prod"), request{md: md("y", "prod")}, missing},
		"no metadata":      {meta("x-env", "prod"), request{}, missing},
		"all values":       {meta("x-env", "prod", "test"), request{md: md("x-env", "prod", "x-env", "test")}, matches},
		"some values":      {meta("x-env", "prod"), request{md: md("x-env", "prod", "x-env", "test")}, missing},
		"last value":       {meta("x-env", "prod"), request{md: md("x-env", "test", "x-env", "prod")}, missing},
		"joined values":    {meta("x-env", "a,b"), request{md: md("x-env", "a", "x-env", "b")}, missing},
		"empty value":      {meta("x-env", ""), request{md: md("x-env", "")}, matches},
		"any, empty value": {meta("x-env", "*"), request{md: md("x-env", "")}, matchesNot},
		"binary":           {meta("x-bin", "\x00\xff"), request{md: md("x-bin", "\x00\xff")}, matches},
		"address":          {authz.Rule{ClientAddrs: []string{"192.0.2.1"}}, request{}, matches},
		"network":          {authz.Rule{ClientAddrs: []string{"10.0.0.0/8", "192.0.2.0/24"}}, request{}, matches},
		"other network":    {authz.Rule{ClientAddrs: []string{"10.0.0.0/8"}}, request{}, matchesNot},
		"mapped network":   {authz.Rule{ClientAddrs: []string{"::ffff:192.0.2.0/120"}}, request{}, matches},
		"mapped address":   {authz.Rule{ClientAddrs: []string{"::ffff:192.0.2.1"}}, request{addr: "::ffff:192.0.2.1"}, matches},
		"IPv6":             {authz.Rule{ClientAddrs: []string{"2001:db8::/32"}}, request{addr: "2001:db8::1"}, matches},
		"no address":       {authz.Rule{ClientAddrs: []string{"0.0.0.0/0", "::/0"}}, request{noAddr: true}, missing},
		"URI":              {authz.Rule{Principals: []string{"spiffe://example/ns/a"}}, request{auth: tlsOf(two)}, matches},
		"not DNS with URI": {authz.Rule{Principals: []string{"a.example"}}, request{auth: tlsOf(two)}, matchesNot},
		"DNS":              {authz.Rule{Principals: []string{"b.*"}}, request{auth: tlsOf(dns)}, matches},
		"not subject":      {authz.Rule{Principals: []string{"CN=c"}}, request{auth: tlsOf(dns)}, matchesNot},
		"certificate":      {authz.Rule{Principals: []string{"CN=c"}}, request{auth: tlsOf(subject)}, matches},
		"no certificate":   {authz.Rule{Principals: []string{""}}, request{auth: tlsOf(nil)}, matches},
		"any certificate":  {authz.Rule{Principals: []string{"*"}}, request{auth: tlsOf(nil)}, matchesNot},
		"unverified":       {authz.Rule{Principals: []string{"CN=c", "*"}}, request{auth: unverified(subject)}, missing},
		"unverified other": {authz.Rule{Principals: []string{"CN=d"}}, request{auth: unverified(subject)}, missing},
		"unverified opt":   {lax("CN=c"), request{auth: unverified(subject)}, matches},
		"unverified not":   {lax("CN=d"), request{auth: unverified(two)}, matchesNot},
		"verified opt":     {lax("CN=c"), request{auth: tlsOf(subject)}, matches},
		"no TLS opt":       {lax(""), request{}, missing},
		"no TLS":           {authz.Rule{Principals: []string{""}}, request{}, missing},
		"path":             {authz.Rule{Paths: []string{"/hauberk.test.*"}}, request{}, matches},
		"star itself":      {authz.Rule{Subjects: []string{`\*`}}, request{id: &hauberk.Identity{Subject: "*"}}, matches},
		"only star itself": {authz.Rule{Subjects: []string{`\*`}}, request{id: alice}, matchesNot},
	} {
		t.Run(name, func(t *testing.T) { wantRule(t, c.rule, c.r, c.want) })
	}
}

// wantRule checks what a rule does to a call in Allow, in Deny and in Deny with AbsentPasses.
func wantRule(t *testing.T, rule authz.Rule, r request, want string) {
	t.Helper()
	if rule.Paths == nil && rule.Methods == nil {
		rule.Methods = []string{tests}
	}
	allow, deny := codes.PermissionDenied, codes.PermissionDenied
	switch want {
	case matches:
		allow = codes.OK
	case matchesNot:
		deny = codes.OK
	}
	wantCode(t, policy(t, authz.Policy{Allow: []authz.Rule{rule}})(r), allow)
	wantCode(t, policy(t, authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{rule}})(r), deny)
}

// Rules name methods, services, packages or everything; the rest is rejected.
func TestMethods(t *testing.T) {
	for _, c := range []struct {
		pattern, method string
		want            bool
	}{
		{"*", "/shop.v1.Cart/Get", true},
		{"shop.v1.Cart/Get", "/shop.v1.Cart/Get", true},
		{"/shop.v1.Cart/Get", "/shop.v1.Cart/Get", true},
		{"shop.v1.Cart/Get", "/shop.v1.Cart/get", false},
		{"shop.v1.Cart/Get", "/shop.v1.Cart/GetAll", false},
		{"shop.v1.Cart/*", "/shop.v1.Cart/Get", true},
		{"shop.v1.Cart/*", "/shop.v1.CartX/Get", false},
		{"shop.*", "/shop.v1.Cart/Get", true},
		{"shop.v1.*", "/shop.v1.Cart/Get", true},
		{"shop.v1.Cart.*", "/shop.v1.Cart/Get", false},
		{"shop.v1.*", "/shop.v12.Cart/Get", false},
	} {
		err := policy(t, authz.Policy{Allow: []authz.Rule{{Methods: []string{"x/y", c.pattern}}}})(request{method: c.method})
		if (err == nil) != c.want {
			t.Errorf("%s allows %s: %v", c.pattern, c.method, err)
		}
	}
}

// A rule that is found by several patterns is evaluated once, and the first rule of the
// policy that denies is recorded.
func TestDenyWins(t *testing.T) {
	serve := policy(t, authz.Policy{
		Allow: []authz.Rule{all(), {Name: "alice", Methods: []string{tests, "*"}, Subjects: []string{"alice"}}},
		Deny: []authz.Rule{
			{Name: "by expression", Methods: []string{"*"}, When: `identity.subject == "alice"`},
			{Name: "by field", Methods: []string{"*", tests, "hauberk.*"}, Subjects: []string{"alice"}},
		},
	})
	wantCode(t, serve(request{id: alice}), codes.PermissionDenied)
	wantCode(t, serve(request{id: &hauberk.Identity{Subject: "bob"}}), codes.OK)
}
