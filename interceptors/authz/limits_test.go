package authz_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// What is wrong with a policy is an error of hauberk.New that names the rule and the field.
func TestBadPolicies(t *testing.T) {
	rule := func(r authz.Rule) authz.Policy {
		if r.Methods == nil && r.Paths == nil {
			r.Methods = []string{"*"}
		}
		return authz.Policy{Allow: []authz.Rule{all(), r}}
	}
	meta := func(key string, values ...string) authz.Policy {
		return rule(authz.Rule{Metadata: []authz.MetadataMatch{{Key: key, Values: values}}})
	}
	long := strings.Repeat("a", authz.MaxValue+1)
	for name, c := range map[string]struct {
		policy authz.Policy
		want   string
	}{
		"nothing":           {authz.Policy{}, "Policy.Allow has no rule"},
		"only deny":         {authz.Policy{Deny: []authz.Rule{all()}}, "Policy.Allow has no rule"},
		"no methods":        {authz.Policy{Allow: []authz.Rule{{Name: "n"}}}, `Policy.Allow[0] "n": it has no Methods`},
		"zero rule":         {authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{{}}}, "Policy.Deny[0]: it has no Methods"},
		"two lists":         {rule(authz.Rule{Methods: []string{"*"}, Paths: []string{"*"}}), "Methods and Paths"},
		"bad pattern":       {rule(authz.Rule{Methods: []string{"a.B/C", "a.B/C*"}}), `bad pattern "a.B/C*"`},
		"regex":             {rule(authz.Rule{Methods: []string{"^a.B/C$"}}), "bad pattern"},
		"negation":          {rule(authz.Rule{Methods: []string{"!a.B/C"}}), "bad pattern"},
		"scheme":            {rule(authz.Rule{Methods: []string{"regex:x.Y/Z"}}), "bad pattern"},
		"path":              {rule(authz.Rule{Paths: []string{"/a", "a.B/C"}}), `Paths[1]: "a.B/C" matches no method`},
		"empty path":        {rule(authz.Rule{Paths: []string{""}}), "Paths[0]"},
		"same name":         {authz.Policy{Allow: []authz.Rule{all(), all()}}, `Policy.Allow[1] "all": Name is that of Allow[0]`},
		"long name":         {rule(authz.Rule{Name: long}), "Name has 4097 bytes"},
		"star inside":       {rule(authz.Rule{Subjects: []string{"a", "a*b"}}), `Policy.Allow[1]: Subjects[1]: "a*b" has a star`},
		"two stars":         {rule(authz.Rule{Subjects: []string{"*a*"}}), "has a star"},
		"backslash":         {rule(authz.Rule{Subjects: []string{`a\b`}}), "has a backslash"},
		"backslash at end":  {rule(authz.Rule{Subjects: []string{`a\`}}), "has a backslash"},
		"empty subject":     {rule(authz.Rule{Subjects: []string{""}}), "Subjects[0]: \"\" is empty"},
		"empty tenant":      {rule(authz.Rule{Tenants: []string{""}}), "Tenants[0]"},
		"empty list":        {rule(authz.Rule{Roles: []string{}}), "Roles is an empty list"},
		"empty addresses":   {rule(authz.Rule{ClientAddrs: []string{}}), "ClientAddrs is an empty list"},
		"long value":        {rule(authz.Rule{Scopes: []string{long}}), "Scopes[0]: \"aaaaaaaaaaaaaaaaaaaa\"… has 4097 bytes"},
		"many values":       {rule(authz.Rule{Issuers: make([]string, authz.MaxValues+1)}), "Issuers has 10001 entries"},
		"many methods":      {rule(authz.Rule{Methods: make([]string, authz.MaxValues+1)}), "Methods has 10001 entries"},
		"many addresses":    {rule(authz.Rule{ClientAddrs: make([]string, authz.MaxValues+1)}), "ClientAddrs has 10001 entries"},
		"many keys":         {rule(authz.Rule{Metadata: make([]authz.MetadataMatch, authz.MaxValues+1)}), "Metadata has 10001 entries"},
		"address":           {rule(authz.Rule{ClientAddrs: []string{"10.0.0.0/8", "10.0.0.0/33"}}), "ClientAddrs[1]"},
		"host name":         {rule(authz.Rule{ClientAddrs: []string{"localhost"}}), `"localhost" is not a network`},
		"zone":              {rule(authz.Rule{ClientAddrs: []string{"fe80::1%eth0"}}), "is not a network"},
		"bits":              {rule(authz.Rule{ClientAddrs: []string{"10.1.0.0/8"}}), `want "10.0.0.0/8"`},
		"no key":            {meta("", "a"), `Metadata[0].Key is ""`},
		"bad key":           {meta("a b", "a"), "not a metadata key"},
		"pseudo header":     {meta(":path", "a"), "not a metadata key"},
		"reserved key":      {meta("grpc-timeout", "a"), "belongs to the protocol"},
		"key of connection": {meta("TE", "a"), "belongs to the protocol"},
		"no values":         {meta("x"), "Metadata[0].Values has no value"},
		"bad value":         {meta("x", "a*b"), "Metadata[0].Values[0]"},
		"absent in allow":   {rule(authz.Rule{AbsentPasses: true}), "AbsentPasses"},
		"no principals":     {rule(authz.Rule{UnverifiedPrincipals: true}), "UnverifiedPrincipals is set without Principals"},
		"request alone":     {rule(authz.Rule{Request: true}), "Request is set without When"},
		"request unused":    {rule(authz.Rule{Request: true, When: "true"}), "does not use the request"},
		"rules":             {authz.Policy{Allow: make([]authz.Rule, authz.MaxRules+1)}, "Policy has 100001 rules; want at most 100000"},
		"many errors":       {authz.Policy{Allow: make([]authz.Rule, 1000)}, "Policy has 980 more errors"},
	} {
		t.Run(name, func(t *testing.T) { wantErr(t, authz.Config{Policy: c.policy}, c.want) })
	}
}

// Nil options, a nil clock and a zero Interceptor are errors.
func TestNil(t *testing.T) {
	config := authz.Config{Policy: authz.Policy{Allow: []authz.Rule{all()}}}
	for want, x := range map[string]*authz.Interceptor{
		"option 1 of New is nil":           authz.New(config, nil),
		"WithClock was given a nil":        authz.New(config, authz.WithClock(nil)),
		"a zero Interceptor has no policy": new(authz.Interceptor),
		"nil *authz.Interceptor":           nil,
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// A policy with as many rules as there may be works, for methods of every place in it.
func TestManyRules(t *testing.T) {
	rules := make([]authz.Rule, authz.MaxRules)
	for i := range rules {
		rules[i] = authz.Rule{Methods: []string{fmt.Sprintf("shop.v%d.Cart/Get", i)}, Metadata: []authz.MetadataMatch{{Key: "x", Values: []string{fmt.Sprint(i)}}}}
	}
	serve := policy(t, authz.Policy{Allow: rules})
	for _, i := range []int{0, 1, authz.MaxRules / 2, authz.MaxRules - 1} {
		method := fmt.Sprintf("/shop.v%d.Cart/Get", i)
		wantCode(t, serve(request{method: method, md: md("x", fmt.Sprint(i))}), codes.OK)
		wantCode(t, serve(request{method: method, md: md("x", "other")}), codes.PermissionDenied)
	}
}

// Rules with the same expression share it. More different ones than there may be are an error.
func TestManyExpressions(t *testing.T) {
	rules := make([]authz.Rule, authz.MaxRules)
	for i := range rules {
		rules[i] = authz.Rule{Methods: []string{fmt.Sprintf("shop.v%d.Cart/Get", i)}, When: `identity.subject == "alice"`}
	}
	serve := policy(t, authz.Policy{Allow: rules})
	wantCode(t, serve(request{method: "/shop.v99999.Cart/Get", id: alice}), codes.OK)
	if testing.Short() {
		return // compiling takes a second
	}
	rules = rules[:authz.MaxExpressions+1]
	for i := range rules {
		rules[i].When = fmt.Sprintf("%d < 0", i)
	}
	wantErr(t, authz.Config{Policy: authz.Policy{Allow: rules}}, "more than 10000 different expressions", "Policy.Allow[10000]")
}

// A low cost is an error at load for expressions that can cost more.
func TestMaxCost(t *testing.T) {
	p := authz.Policy{Allow: []authz.Rule{{Methods: []string{"*"}, When: `metadata.x.all(v, v == "a")`}}}
	wantErr(t, authz.Config{Policy: p, MaxCost: 10}, "it can cost", "want at most 10")
}
