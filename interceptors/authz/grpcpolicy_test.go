package authz_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	grpcauthz "google.golang.org/grpc/authz"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

const example = `{
  "name": "shop",
  "deny_rules": [
    {"name": "banned", "source": {"principals": ["spiffe://evil.example/*"]}}
  ],
  "allow_rules": [
    {"name": "read", "request": {"paths": ["/shop.v1.Cart/Get", "*/List"]}},
    {
      "name": "admin",
      "source": {"principals": ["*.admin.example", "a*b"]},
      "request": {"headers": [{"key": "X-Env", "values": ["prod", "te*"]}, {"key": "dev-path", "values": ["*"]}]}
    }
  ],
  "audit_logging_options": {
    "audit_condition": "ON_DENY",
    "audit_loggers": [{"name": "none", "config": {"a": [1, {}]}, "is_optional": true}]
  }
}`

func TestParseGRPC(t *testing.T) {
	got, err := authz.ParseGRPC([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	want := authz.Policy{
		Deny: []authz.Rule{{
			Name: "shop_banned", Methods: []string{"*"}, Principals: []string{"spiffe://evil.example/*"}, AbsentPasses: true,
			UnverifiedPrincipals: true,
		}},
		Allow: []authz.Rule{
			{Name: "shop_read", Paths: []string{"/shop.v1.Cart/Get", "*/List"}},
			{Name: "shop_admin", Methods: []string{"*"}, Principals: []string{"*.admin.example", `a\*b`}, UnverifiedPrincipals: true, Metadata: []authz.MetadataMatch{
				{Key: "x-env", Values: []string{"prod", "te*"}}, {Key: "dev-path", Values: []string{"*"}},
			}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s\nwant %s", show(got), show(want))
	}
	serve := policy(t, got)
	wantCode(t, serve(request{method: "/shop.v1.Cart/Get"}), codes.OK)
	wantCode(t, serve(request{method: "/shop.v1.Orders/List"}), codes.OK)
	wantCode(t, serve(request{method: "/shop.v1.Cart/Put"}), codes.PermissionDenied)
}

// Several values of a header: an imported policy is stricter than grpc-go's.
func TestParseGRPCValues(t *testing.T) {
	const policyOf = `{"name": "p", "allow_rules": [RULE]}`
	rule := `{"name": "r", "request": {"headers": [{"key": "x", "values": ["a", "b", "c*", "d,e"]}]}}`
	for values, want := range map[string]bool{"a": true, "a b": true, "c a": true, "c x": false, "x": false, "d e": false, "": false} {
		p, err := authz.ParseGRPC([]byte(strings.Replace(policyOf, "RULE", rule, 1)))
		if err != nil {
			t.Fatal(err)
		}
		deny := authz.Policy{Allow: []authz.Rule{all()}, Deny: slices.Clone(p.Allow)}
		deny.Deny[0].AbsentPasses = true
		r := request{md: md()}
		for v := range strings.FieldsSeq(values) {
			r.md.Append("x", v)
		}
		if err := policy(t, p)(r); (err == nil) != want {
			t.Errorf("values %q: %v", values, err)
		}
		if err := policy(t, deny)(r); (err == nil) != (values == "" || values == "x") {
			t.Errorf("values %q, denied: %v", values, err)
		}
	}
}

// What is wrong with a policy is an error with its place. grpc-go rejects the same, except for
// what it overlooks.
func TestParseGRPCErrors(t *testing.T) {
	rule := func(text string) string {
		return `{"name": "p", "allow_rules": [{"name": "a"}, {"name": "r", ` + text + `}]}`
	}
	header := func(text string) string { return rule(`"request": {"headers": [{` + text + `}]}`) }
	for text, c := range map[string]struct {
		want       string
		overlooked bool
	}{
		``:                {"1:1: unexpected end", false},
		`{`:               {"unexpected end of JSON input", false},
		"{\n\"name\": x}": {"2:9: invalid character 'x'", false},
		"\xef\xbb\xbf{}":  {"invalid character", false},
		`[]`:              {"JSON array; want an object", false},
		`null`:            {`"name" is not present`, false},
		`{}`:              {`"name" is not present`, false},
		`{"name": "p"}`:   {`"allow_rules" is not present`, false},
		`{"name": 1}`:     {"1:", false},
		"{\"name\": \"p\",\n \"allow_rules\": {}}":                     {"2:", false},
		`{"name": "p", "allow_rules": [{"source": {}}]}`:               {`allow_rules[0]: "name" is not present`, false},
		`{"name": "p", "allow_rules": [{"name": "r"}]} x`:              {"after top-level value", true},
		`{"name": "p", "allow_rules": [{"name": "r"}], "name": "q"}`:   {`1:52: "name" is there twice`, true},
		`{"name": "p", "allow_rules": [{"name": "r"}], "Name": "q"}`:   {`"name" is there twice`, true},
		`{"name": "p", "allow_rules": [{"name": "r"}, {"name": "r"}]}`: {`allow_rules[1]: "name" is "r", as in allow_rules[0]`, true},
		`{"name": "p", "allow_rules": [{"name": "r"}], "deny": []}`:    {`"deny" is not a field`, false},
		rule(`"sources": {}`):                            {`"allow_rules[1].sources" is not a field`, false},
		rule(`"source": {"principal": []}`):              {`"allow_rules[1].source.principal" is not a field`, false},
		rule(`"source": {"principals": "a"}`):            {"want a list", false},
		rule(`"request": {"paths": [1]}`):                {"want a string", false},
		rule(`"request": {"paths": ["a.B/C"]}`):          {"allow_rules[1].request.paths[0]", true},
		header(`"values": ["a"]`):                        {`allow_rules[1].request.headers[0]: "key" is not present`, false},
		header(`"key": "x"`):                             {`headers[0]: "values" is not present`, false},
		header(`"key": "x", "values": []`):               {`headers[0]: "values" is not present`, false},
		header(`"key": ":path", "values": ["a"]`):        {`unsupported "key" ":path"`, false},
		header(`"key": "GRPC-timeout", "values": ["a"]`): {`unsupported "key" "grpc-timeout"`, false},
		header(`"key": "Host", "values": ["a"]`):         {`unsupported "key" "host"`, false},
		header(`"key": "te", "values": ["a"]`):           {`unsupported "key" "te"`, false},
		header(`"key": "a b", "values": ["a"]`):          {"not a metadata key", true},
		rule(`"name": "again"`):                          {`"allow_rules[1].name" is there twice`, true},
		`{"name": "p", "allow_rules": [{"name": "r"}], "audit_logging_options": {"audit_condition": "SOMETIMES"}}`:        {"audit_condition", false},
		`{"name": "p", "allow_rules": [{"name": "r"}], "audit_logging_options": {"audit_loggers": [{"name": "stdout"}]}}`: {"audit_loggers[0]: the logger \"stdout\"", false},
		`{"name": "p", "allow_rules": [{"name": "r"}], "audit_logging_options": {"audit_loggers": [{}]}}`:                 {`audit_loggers[0]: "name" is not present`, false},
	} {
		_, err := authz.ParseGRPC([]byte(text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\nerror %v, want %q", text, err, c.want)
		}
		if _, err := grpcauthz.NewStatic(text); (err == nil) != c.overlooked {
			t.Errorf("%s\ngrpc-go: %v", text, err)
		}
	}
	if _, err := authz.ParseGRPC(nil); err == nil {
		t.Error("no text was accepted")
	}
	if _, err := authz.ParseGRPC(make([]byte, 65<<20)); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("65 MiB: %v", err)
	}
	if _, err := authz.ParseGRPC([]byte(strings.Repeat("[", 1<<20))); err == nil {
		t.Error("deep lists were accepted")
	}
}

// A policy that is imported is one that grpc-go accepts, and makes a chain.
func FuzzParseGRPC(f *testing.F) {
	f.Add(example)
	f.Add(`{"name": "p", "allow_rules": [{"name": "r", "request": {"paths": ["/a*", "/\\\\*"]}, "source": {"principals": ["", "**"]}}]}`)
	f.Add(`{"NAME": "p", "Allow_Rules": [{"name": "r"}], "deny_rules": null}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := authz.ParseGRPC([]byte(text))
		if err != nil {
			return
		}
		if _, err := grpcauthz.NewStatic(text); err != nil {
			t.Errorf("grpc-go rejects it: %v", err)
		}
		if _, err := hauberk.New(authz.New(authz.Config{Policy: p})); err != nil && !strings.Contains(err.Error(), "want at most") {
			t.Error(err)
		}
	})
}

// An expression compiles or is an error, and never makes a call fail in another way.
func FuzzExpression(f *testing.F) {
	for text := range modelWhens {
		f.Add(text)
	}
	f.Add(`metadata.a.all(a, a.matches("^x+$")) && size(identity.claims) < 3`)
	f.Fuzz(func(t *testing.T, text string) {
		p := authz.Policy{Allow: []authz.Rule{{Methods: []string{"*"}, When: text}}}
		chain, err := hauberk.New(login{}, authz.New(authz.Config{Policy: p, MaxCost: 1000}))
		if err != nil {
			return
		}
		for _, r := range []request{{}, {id: alice, md: md("a", "x", "x-env", "prod")}} {
			if err := serve(chain)(r); err != nil && hauberk.Reason(err) != authz.ReasonDenied {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
