package authz_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// Each variable and function of expressions.
func TestExpressions(t *testing.T) {
	bare := &hauberk.Identity{Subject: "bare"}
	odd := &hauberk.Identity{Subject: "odd", Claims: map[string]any{
		"struct": struct{ A int }{1}, "func": func() {}, "nil": nil, "list": []string{"a"}, "map": map[string]string{"a": "b"},
		"deep": deepClaim(10_000),
	}}
	account := &hauberk.Identity{Subject: "a", Claims: map[string]any{ // as package authn decodes large integers
		"account": int64(1234567890123456789), "unsigned": uint64(math.MaxUint64),
	}}
	for text, c := range map[string]struct {
		r    request
		want string
	}{
		`true`:  {request{}, matches},
		`false`: {request{}, matchesNot},
		`method == "/hauberk.test.v1.TestService/Unary"`:           {request{}, matches},
		`service == "hauberk.test.v1.TestService"`:                 {request{}, matches},
		`identity.subject == "alice"`:                              {request{id: alice}, matches},
		`identity.subject == "bob"`:                                {request{id: alice}, matchesNot},
		`identity.subject != "bob"`:                                {request{}, missing},
		`!(identity.subject == "bob")`:                             {request{}, missing},
		`identity.issuer.startsWith("https://issuer")`:             {request{id: alice}, matches},
		`identity.method == "jwt"`:                                 {request{id: alice}, matches},
		`identity.tenant == "acme"`:                                {request{id: bare}, missing},
		`identity.tenant != "acme"`:                                {request{id: bare}, missing},
		`has(identity.tenant)`:                                     {request{id: bare}, matchesNot},
		`has(identity.tenant) && identity.tenant == "acme"`:        {request{id: alice}, matches},
		`has(identity.subject)`:                                    {request{}, matchesNot},
		`"buyer" in identity.roles`:                                {request{id: alice}, matches},
		`"buyer" in identity.roles || true`:                        {request{id: bare}, matches},
		`!("buyer" in identity.roles)`:                             {request{}, missing},
		`identity.scopes.exists(s, s.startsWith("cart."))`:         {request{id: alice}, matches},
		`["cart.read", "cart.write"].all(s, s in identity.scopes)`: {request{id: alice}, matches},
		`identity.claims.admin == true`:                            {request{id: alice}, matches},
		`identity.claims.admin`:                                    {request{id: alice}, "error"},
		`identity.claims.level >= 3.0`:                             {request{id: alice}, matches},
		`identity.claims.level >= 3`:                               {request{id: alice}, matches},
		`"staff" in identity.claims.groups`:                        {request{id: alice}, matches},
		`identity.claims.none == "x"`:                              {request{id: alice}, missing},
		`identity.claims.admin == "x"`:                             {request{id: alice}, matchesNot},
		`identity.claims.groups.x == "x"`:                          {request{id: alice}, missing},
		`identity.claims.level.matches("^x$")`:                     {request{id: alice}, missing},
		`has(identity.claims.none)`:                                {request{id: alice}, matchesNot},
		`identity.claims.account == 1234567890123456789`:           {request{id: account}, matches},
		`identity.claims.account == 1234567890123456788`:           {request{id: account}, matchesNot},
		`string(identity.claims.account) == "1234567890123456789"`: {request{id: account}, matches},
		`identity.claims.unsigned == 18446744073709551615u`:        {request{id: account}, matches},
		`identity.claims["a"]["b"] == 1`:                           {request{id: bare}, missing},
		`metadata["x"].all(v, v == "a")`:                           {request{md: md("x", "a", "x", "a")}, matches},
		`metadata["x"].all(v, v == "b")`:                           {request{md: md("x", "b", "x", "a")}, matchesNot},
		`metadata.x.exists(v, v == "a")`:                           {request{md: md("x", "b", "x", "a")}, matches},
		`metadata["y"].all(v, v == "c")`:                           {request{md: md("x", "a")}, missing},
		`"y" in metadata`:                                          {request{md: md("x", "a")}, matchesNot},
		`"x" in metadata`:                                          {request{md: md("X", "a")}, matches},
		`size(metadata) == 0`:                                      {request{}, matches},
		`in_cidr(client_addr, "192.0.2.0/24")`:                     {request{}, matches},
		`client_addr.in_cidr("2001:db8::/32")`:                     {request{addr: "2001:db8::1"}, matches},
		`!client_addr.in_cidr("10.0.0.0/8")`:                       {request{noAddr: true}, missing},
		`identity.claims.func == "x"`:                              {request{id: odd}, missing},
		`identity.claims["struct"].B == 1`:                         {request{id: odd}, missing},
		`identity.claims["nil"] == "x"`:                            {request{id: odd}, matchesNot},
		`"a" in identity.claims.list`:                              {request{id: odd}, matches},
		`identity.claims.map.a == "b"`:                             {request{id: odd}, matches},
		`identity.claims.deep.a.a.a == "x"`:                        {request{id: odd}, matchesNot},
		`client_addr == "192.0.2.1"`:                               {request{addr: "::ffff:192.0.2.1"}, matches},
		`now >= timestamp("2026-01-01T00:00:00Z")`:                 {request{}, matches},
		`now < timestamp("2026-01-01T00:00:00Z")`:                  {request{}, matchesNot},
		`now.getHours() == 0 && now.getDayOfWeek() == 4`:           {request{}, matches},
		`identity.subject.matches("^(alice|bob)$")`:                {request{id: alice}, matches},
		`identity.subject.matches("^ali$")`:                        {request{id: alice}, matchesNot},
		`1 / int(identity.claims.level - 3.0) == 1`:                {request{id: alice}, missing},
	} {
		t.Run(text[:min(len(text), 60)], func(t *testing.T) {
			if c.want == "error" {
				wantErr(t, authz.Config{Policy: authz.Policy{Allow: []authz.Rule{{Methods: []string{"*"}, When: text}}}}, "want bool")
				return
			}
			wantWhen(t, text, c.r, c.want)
		})
	}
}

// deepClaim returns a claim of n levels.
func deepClaim(n int) (claim any) {
	for range n {
		claim = map[string]any{"a": claim}
	}
	return claim
}

// many returns n values of a metadata key.
func many(key string, n int) (pairs []string) {
	for i := range n {
		pairs = append(pairs, key, fmt.Sprintf("%020d", i))
	}
	return pairs
}

func wantWhen(t *testing.T, text string, r request, want string) {
	t.Helper()
	allow, deny := codes.PermissionDenied, codes.PermissionDenied
	switch want {
	case matches:
		allow = codes.OK
	case matchesNot:
		deny = codes.OK
	}
	clock, rule := authz.WithClock(hauberktest.NewClock().Now), authz.Rule{Methods: []string{tests}, When: text}
	serve := func(p authz.Policy) error {
		return server(t, login{}, authz.New(authz.Config{Policy: p}, clock))(r)
	}
	wantCode(t, serve(authz.Policy{Allow: []authz.Rule{rule}}), allow)
	wantCode(t, serve(authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{rule}}), deny)
}

// What an expression must not be is an error at load that names the rule and the place.
func TestBadExpressions(t *testing.T) {
	deep := strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200)
	nots := strings.Repeat("!(", 100) + "true" + strings.Repeat(")", 100)
	for text, words := range map[string][]string{
		`identity.subject ==`:                       {"1:20", "Syntax error"},
		`identity.subject`:                          {"it returns string; want bool"},
		`1`:                                         {"it returns int; want bool"},
		`identity.claims.admin`:                     {"it returns dyn; want bool: compare it, as in x == true"},
		`identity.subjct == "x"`:                    {"1:9", "undefined field 'subjct'"},
		`user == "x"`:                               {"undeclared reference to 'user'"},
		`request.text == "x"`:                       {"undeclared reference to 'request'", "set Rule.Request"},
		`identity.subject == 1`:                     {"found no matching overload"},
		`allow("x")`:                                {"undeclared reference to 'allow'"},
		`client_addr.in_cidr("10.0.0.0")`:           nil,
		`client_addr.in_cidr("10.0.0.0/99")`:        {"10.0.0.0/99"},
		`client_addr.in_cidr("10.0.0.1/8")`:         {"bits beyond its length"},
		`client_addr.in_cidr(identity.subject)`:     {"not a literal"},
		`identity.subject.matches("admin")`:         {"a part of a value"},
		`identity.subject.matches("^admin")`:        {"a part of a value"},
		`identity.subject.matches("^a|b$")`:         {"a part of a value"},
		`identity.subject.matches("(?m)^a$")`:       {"a part of a value"},
		`identity.subject.matches("^(a$")`:          {"invalid matches argument"},
		`identity.subject.matches(identity.tenant)`: {"not a literal"},
		`metadata["x"][0] == "a"`:                   {"one value of a metadata key"},
		`metadata.x[0] == "a"`:                      {"one value of a metadata key"},
		`now == timestamp("yesterday")`:             {"timestamp"},
		`metadata.a.all(a, metadata.b.all(b, metadata.c.all(c, a == b)))`: {"nesting"},
		`metadata.a.all(a, metadata.b.all(b, a + b == b + a))`:            {"it can cost", "want at most 100000"},
		`hauberk.Identity{subject: "x"} == identity`:                      nil,
		deep: {"recursion"},
		nots: {"recursion"},
		`"` + strings.Repeat("a", authz.MaxExpression) + `" == "a"`: {"want at most 8192"},
		"\x00":   {"Syntax error"},
		"   ":    {"Syntax error"},
		"\xff\"": nil,
	} {
		rule := authz.Rule{Name: "the rule", Methods: []string{"*"}, When: text}
		if words == nil {
			_ = authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{rule}}}).Declare()
			continue
		}
		words = append(words, `Policy.Deny[0] "the rule": When: `)
		wantErr(t, authz.Config{Policy: authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{rule}}}, words...)
	}
}

// Metadata keys are in lower case. An expression that uses a key which no call has is an error at
// load: a rule of Deny with it would deny nothing.
func TestMetadataKeys(t *testing.T) {
	const bad, good = false, true
	for text, want := range map[string]bool{
		`"X-Role" in metadata && metadata["X-Role"].exists(v, v == "bad")`: bad,
		`has(metadata.XRole)`:                                                 bad,
		`metadata.XRole.exists(v, v == "bad")`:                                bad,
		`metadata["X-Role"].all(v, v == "bad")`:                               bad,
		`metadata.exists(k, k == "X-Role")`:                                   bad,
		`metadata.exists(k, "X-Role" == k)`:                                   bad,
		`metadata.all(k, k != "X-Role")`:                                      bad,
		`metadata.exists(k, k in ["x-role", "X-Role"])`:                       bad,
		`metadata.exists(k, k.startsWith("X-"))`:                              bad,
		`metadata.exists(k, k.matches("^X-.*$"))`:                             bad,
		`identity.roles.exists(r, metadata.exists(k, k == "X-Role"))`:         bad,
		`["X-Role"].exists(k, k in metadata)`:                                 bad,
		`identity.subject in metadata`:                                        bad,
		`metadata[identity.subject].all(v, v == "x")`:                         bad,
		`(now == now ? metadata : metadata)["X-Role"].all(v, v == "x")`:       bad,
		`":scheme" in metadata`:                                               bad,
		`"grpc-timeout" in metadata`:                                          bad,
		`"host" in metadata`:                                                  bad,
		`"" in metadata`:                                                      bad,
		`":authority" in metadata`:                                            good,
		`"x-role" in metadata && metadata["x-role"].exists(v, v == "Bad")`:    good,
		`has(metadata.xrole)`:                                                 good,
		`metadata.exists(k, k == "x-role")`:                                   good,
		`metadata.exists(k, k.matches("^(?i)X-\\S$"))`:                        good,
		`metadata.exists(k, metadata[k].exists(v, v == "Bad"))`:               good,
		`["x-a", "x-b"].exists(k, k in metadata)`:                             good,
		`metadata.exists(k, k == "x") && identity.roles.exists(k, k == "Xy")`: good,
		`identity.roles.exists(metadata, metadata == "Admin")`:                good,
		`"X" in identity.claims && has(identity.claims.XRole)`:                good,
		`metadata.exists(k, identity.roles.exists(k, k == "Admin"))`:          good,
	} {
		_, err := hauberk.New(login{}, authz.New(authz.Config{Policy: authz.Policy{
			Allow: []authz.Rule{all()}, Deny: []authz.Rule{{Methods: []string{"*"}, When: text}},
		}}))
		if (err == nil) != want {
			t.Errorf("%s: %v; want it accepted: %t", text, err, want)
		}
	}
}

// An evaluation that costs more than estimated fails: the rule does not allow, and denies.
func TestCostAtRunTime(t *testing.T) {
	rule := authz.Rule{Methods: []string{"*"}, When: `metadata.x.all(v, v != "none")`}
	for name, p := range map[string]authz.Policy{
		"allow": {Allow: []authz.Rule{rule}},
		"deny":  {Allow: []authz.Rule{all()}, Deny: []authz.Rule{{Methods: []string{"*"}, When: "!(" + rule.When + ")"}}},
	} {
		t.Run(name, func(t *testing.T) {
			serve := server(t, login{}, authz.New(authz.Config{Policy: p, MaxCost: 2000}))
			wantCode(t, serve(request{md: md(many("x", 100)...)}), codes.OK)
			wantCode(t, serve(request{md: md(many("x", 2000)...)}), codes.PermissionDenied)
		})
	}
}

// The cost of a call with small values is not counted, since it is within the estimate. The same
// expressions fail for calls whose values are larger than the estimate assumes.
func TestCostOfLargeValues(t *testing.T) {
	list := func(n int) (all []any) {
		for range n {
			all = append(all, "aaaaaaaaaa")
		}
		return all
	}
	texts := func(n int) (all []string) { return slices.Repeat([]string{"aaaaaaaaaa"}, n) }
	claim := func(c any) *hauberk.Identity {
		return &hauberk.Identity{Subject: "a", Claims: map[string]any{"c": c}}
	}
	const n = 10_000
	for text, c := range map[string]struct{ small, large request }{
		`identity.roles.all(r, r != "x")`:                {request{id: &hauberk.Identity{Subject: "a", Roles: texts(100)}}, request{id: &hauberk.Identity{Subject: "a", Roles: texts(n)}}},
		`identity.scopes.all(r, r != "x")`:               {request{id: &hauberk.Identity{Subject: "a", Scopes: texts(100)}}, request{id: &hauberk.Identity{Subject: "a", Scopes: texts(n)}}},
		`identity.claims.c.all(r, r != "x")`:             {request{id: claim(list(100))}, request{id: claim(list(n))}},
		`identity.claims["c"].d.all(r, r != "x")`:        {request{id: claim(map[string]any{"d": list(100)})}, request{id: claim(map[string]any{"d": list(n)})}},
		`!identity.claims.c.contains("bbbbbbbbbb")`:      {request{id: claim("a")}, request{id: claim(strings.Repeat("a", 100*n))}},
		`metadata.all(k, k != "x")`:                      {request{md: md(many("k", 100)...)}, request{md: manyKeys(n)}},
		`"x" in metadata && metadata.x.all(v, v != "x")`: {request{md: md(many("x", 100)...)}, request{md: md(many("x", n)...)}},
		`!method.contains("bbbbbbbbbb")`:                 {request{method: "/a.A/a"}, request{method: "/a.A/" + strings.Repeat("a", 100*n)}},
	} {
		x := authz.New(authz.Config{MaxCost: 20_000, Policy: authz.Policy{Allow: []authz.Rule{{Methods: []string{"*"}, When: text}}}})
		serve := server(t, login{}, x)
		if err := serve(c.small); err != nil {
			t.Errorf("%s, small: %v", text, err)
		}
		if err := serve(c.large); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s, large: %v; want PERMISSION_DENIED", text, err)
		}
	}
}

// manyKeys returns metadata with n keys.
func manyKeys(n int) metadata.MD {
	m := metadata.MD{}
	for i := range n {
		m.Set(fmt.Sprint("k", i), "v")
	}
	return m
}
