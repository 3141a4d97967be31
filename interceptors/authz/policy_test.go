package authz_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

const (
	cart    = "hauberk.policy.test.v1.Cart"
	catalog = "hauberk.policy.test.v1.Catalog"
)

func shopPolicy(t testing.TB) *hauberk.DescriptorPolicy {
	t.Helper()
	services := policypb.File_internal_policypb_shop_proto.Services()
	policy, err := hauberk.FromDescriptors(services.ByName("Cart"), services.ByName("Catalog"), services.ByName("Plain"))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// TestWithPolicy: callers need one of the roles and all of the scopes that the .proto file states.
// Methods without a statement are rejected.
func TestWithPolicy(t *testing.T) {
	policy := shopPolicy(t)
	err := policy.Override(cart+"/Pay", func(m *hauberk.MethodPolicy) { m.Scopes = []string{"cart.pay", "cart.*"} })
	if err != nil {
		t.Fatal(err)
	}
	chain, err := hauberk.Config{Policy: policy}.New(login{}, authz.New(authz.Config{}, authz.WithPolicy(policy)))
	if err != nil {
		t.Fatal(err)
	}
	call := serve(chain)
	id := func(roles string, scopes ...string) *hauberk.Identity {
		return &hauberk.Identity{Subject: "alice", Roles: strings.Fields(roles), Scopes: scopes}
	}
	for _, c := range []struct {
		method string
		id     *hauberk.Identity
		want   codes.Code
	}{
		{cart + "/Get", id("buyer"), codes.OK},
		{cart + "/Get", id("x support"), codes.OK},
		{cart + "/Get", id("buyers buye *"), codes.PermissionDenied},
		{cart + "/Get", id(""), codes.PermissionDenied},
		{cart + "/Get", nil, codes.PermissionDenied},
		{cart + "/Get", &hauberk.Identity{Roles: []string{"buyer"}}, codes.PermissionDenied}, // without a subject
		{cart + "/Pay", id("buyer", "x", "cart.*", "cart.pay"), codes.OK},
		{cart + "/Pay", id("buyer", "cart.pay", "cart.x"), codes.PermissionDenied},
		{cart + "/Pay", id("buyer", "cart.*"), codes.PermissionDenied},
		{cart + "/Pay", id("", "cart.*", "cart.pay"), codes.PermissionDenied},
		{cart + "/Refund", id("buyer"), codes.PermissionDenied},
		{cart + "/Refund", id("admin"), codes.OK},
		{cart + "/Browse", nil, codes.OK}, // public
		{catalog + "/Read", nil, codes.OK},
		{catalog + "/Change", id("editor"), codes.OK},
		{catalog + "/Change", id("buyer"), codes.PermissionDenied},
		{catalog + "/Draft", id(""), codes.OK}, // any authenticated caller
		{catalog + "/Draft", nil, codes.PermissionDenied},
		{"hauberk.policy.test.v1.Plain/Do", id("buyer admin"), codes.PermissionDenied},
		{cart + "/Unknown", id("buyer admin"), codes.PermissionDenied},
	} {
		if err := call(request{method: "/" + c.method, id: c.id}); (err == nil) != (c.want == codes.OK) {
			t.Errorf("%s by %+v: %v, want %v", c.method, c.id, err, c.want)
		} else if err != nil {
			wantCode(t, err, c.want)
		}
	}
}

// TestWithPolicyKinds: the rules of a policy hold in all kinds of calls.
func TestWithPolicyKinds(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		policy := &hauberk.DescriptorPolicy{Methods: []hauberk.MethodPolicy{
			{Method: strings.TrimPrefix(hauberktest.FullMethod(c.Kind), "/"), Roles: []string{"admin"}},
		}}
		for role, want := range map[string]codes.Code{"admin": codes.OK, "user": codes.PermissionDenied} {
			x := authz.New(authz.Config{}, authz.WithPolicy(policy))
			env := c.Start(t, login{&hauberk.Identity{Subject: "alice", Roles: []string{role}}}, x)
			wantCode(t, env.Call(t.Context()).Err, want)
		}
	})
}

// TestWithPolicyOverridden: rules of the Config replace those of the policy for the methods that
// they name, and rules that deny hold as well. Explain says which.
func TestWithPolicyOverridden(t *testing.T) {
	policy := shopPolicy(t)
	source := "option (hauberk.v1.service_policy) of " + cart
	for name, c := range map[string]struct {
		policy   authz.Policy
		admitted string // roles that may call Get, of "buyer support admin boss"
		explain  string
	}{
		"no rules":   {authz.Policy{}, "buyer support", "roles buyer, support: " + source},
		"the method": {authz.Policy{Allow: []authz.Rule{{Name: "boss", Methods: []string{cart + "/Get"}, Roles: []string{"boss"}}}}, "boss", "rules boss: authz.Config.Policy"},
		"a package":  {authz.Policy{Allow: []authz.Rule{{Methods: []string{"hauberk.policy.*"}, Roles: []string{"boss"}}}}, "boss", "rules Allow[0]: authz.Config.Policy"},
		"a path":     {authz.Policy{Allow: []authz.Rule{{Paths: []string{"*/Get"}, Roles: []string{"boss"}}}}, "boss", "rules Allow[0]: authz.Config.Policy"},
		"everything": {authz.Policy{Allow: []authz.Rule{all()}}, "buyer support admin boss", "rules all: authz.Config.Policy"},
		"another":    {authz.Policy{Allow: []authz.Rule{{Methods: []string{cart + "/Pay"}}}}, "buyer support", "roles buyer, support: " + source},
		"denied":     {authz.Policy{Deny: []authz.Rule{{Methods: []string{"*"}, Roles: []string{"support"}}}}, "buyer", "roles buyer, support: " + source},
		"many": {authz.Policy{Allow: []authz.Rule{
			all(), {Methods: []string{"*"}}, {Methods: []string{"*"}}, {Methods: []string{"*"}}, {Methods: []string{"*"}}, {Methods: []string{"*"}}, {Methods: []string{"*"}},
		}}, "buyer support admin boss", "rules all, Allow[1], Allow[2], Allow[3], Allow[4], and 2 more: authz.Config.Policy"},
	} {
		t.Run(name, func(t *testing.T) {
			x := authz.New(authz.Config{Policy: c.policy}, authz.WithPolicy(policy))
			chain, err := hauberk.New(login{}, x)
			if err != nil {
				t.Fatal(err)
			}
			for role := range strings.FieldsSeq("buyer support admin boss") {
				err := serve(chain)(request{method: "/" + cart + "/Get", id: &hauberk.Identity{Subject: "alice", Roles: []string{role}}})
				if want := strings.Contains(c.admitted, role); (err == nil) != want {
					t.Errorf("%s: %v; want it admitted: %t", role, err, want)
				}
			}
			e, err := chain.Explain(cart + "/Get")
			if err != nil || len(e.Steps[1].Settings) != 1 || e.Steps[1].Settings[0].String() != c.explain {
				t.Errorf("Explain returned %+v, %v; want %q", e, err, c.explain)
			}
		})
	}
}

// TestWithPolicyDecision: the decision names the rule of the policy.
func TestWithPolicyDecision(t *testing.T) {
	policy := shopPolicy(t)
	var decisions []hauberk.Decision
	outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		decisions = call.Decisions().All()
		return err
	})
	call := server(t, outer, login{}, authz.New(authz.Config{RecordAllowed: true}, authz.WithPolicy(policy)))
	if err := call(request{method: "/" + catalog + "/Change", id: &hauberk.Identity{Subject: "a", Roles: []string{"editor"}}}); err != nil {
		t.Fatal(err)
	}
	if len(decisions) != 1 || decisions[0].Rule != "policy of "+catalog+"/Change" || decisions[0].Verdict != hauberk.Allowed {
		t.Errorf("the decisions are %+v; want the rule of the policy", decisions)
	}
}

// TestWithPolicyErrors: a policy without a rule, or with what no .proto file has, is an error.
// Nil is no policy.
func TestWithPolicyErrors(t *testing.T) {
	of := func(methods ...hauberk.MethodPolicy) *hauberk.DescriptorPolicy {
		return &hauberk.DescriptorPolicy{Methods: methods}
	}
	for name, c := range map[string]struct {
		policy *hauberk.DescriptorPolicy
		want   string
	}{
		"nil":            {nil, "Policy.Allow has no rule"},
		"no statement":   {of(hauberk.MethodPolicy{Method: "a.B/C"}), "Policy.Allow has no rule"},
		"no method":      {of(hauberk.MethodPolicy{Method: "a.B/*", Roles: []string{"x"}}), `WithPolicy: "a.B/*": it is no method`},
		"empty role":     {of(hauberk.MethodPolicy{Method: "a.B/C", Roles: []string{"x", ""}}), "a role or a scope is empty"},
		"empty scope":    {of(hauberk.MethodPolicy{Method: "a.B/C", Scopes: []string{""}}), "a role or a scope is empty"},
		"too many roles": {of(hauberk.MethodPolicy{Method: "a.B/C", Roles: make([]string, authz.MaxValues+1)}), "Roles has 10001 entries"},
	} {
		_, err := hauberk.New(login{}, authz.New(authz.Config{}, authz.WithPolicy(c.policy)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if _, err := hauberk.New(authz.New(authz.Config{}, authz.WithPolicy(shopPolicy(t)))); err == nil {
		t.Error("a chain without authentication was built")
	}
	if _, err := hauberk.New(login{}, authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{all()}}}, authz.WithPolicy(nil))); err != nil {
		t.Errorf("with nil: %v", err)
	}
}

// TestPolicyIsEnforced: hauberk.New reports the methods of a policy whose roles and scopes the rules
// do not have.
func TestPolicyIsEnforced(t *testing.T) {
	policy, changed := shopPolicy(t), shopPolicy(t)
	if err := changed.Override(cart+"/Pay", func(m *hauberk.MethodPolicy) { m.Scopes = []string{"cart.refund"} }); err != nil {
		t.Fatal(err)
	}
	every := authz.Config{Policy: authz.Policy{Allow: []authz.Rule{all()}}}
	for name, c := range map[string]struct {
		x    *authz.Interceptor
		want string // in the error
	}{
		"the policy":       {authz.New(authz.Config{}, authz.WithPolicy(policy)), ""},
		"own rules":        {authz.New(every, authz.WithPolicy(policy)), ""},
		"without a policy": {authz.New(every), "scopes of " + cart + "/Get, "},
		"another policy":   {authz.New(authz.Config{}, authz.WithPolicy(changed)), "scopes of " + cart + "/Pay: add"},
	} {
		_, err := hauberk.Config{Policy: policy}.New(login{}, c.x)
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v; want %q in it", name, err, c.want)
		}
	}
}
