package authz_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// TestUnmatchedPatterns: Coverage reports the patterns of rules that match no method of the server.
// With Shared those of services that the server does not have are left out.
func TestUnmatchedPatterns(t *testing.T) {
	services := map[string]grpc.ServiceInfo{"shop.v1.Cart": {Methods: []grpc.MethodInfo{{Name: "Get"}, {Name: "Pay"}}}, "grpc.x.Y": {Methods: []grpc.MethodInfo{{Name: "Z"}}}}
	for name, c := range map[string]struct {
		rule         authz.Rule
		want, shared string // of the patterns, joined by spaces
	}{
		"methods": {
			authz.Rule{Methods: []string{"*", "shop.v1.Cart/*", "shop.*", "shop.v1.Cart/Get", "shop.v1.Cart/get", "shop.v1.Crat/*", "shop.v2.*", "grpc.health.v1.Health/*", "grpc.x.Y/Z", "grpc.x.Y/z"}},
			"shop.v1.Cart/get shop.v1.Crat/* shop.v2.* grpc.x.Y/z", "shop.v1.Cart/get grpc.x.Y/z",
		},
		"paths": {
			authz.Rule{Paths: []string{"*", "/shop.v1.Cart/Get", "/shop.v1.Cart/G*", "/shop*", "*/Pay", "/grpc.health.v1.Health/*", "/grpc.health.v1.Health/Check", "/grpc.x.Y/z", "/grpc.x.Y/z*", "/shop.v1.Cart/get", "/shop.v1.Cart/g*", "/shop.v1.Crat/Get", "/shop.v1.Crat/*", "/shop.v1.Crat*", "*/pay"}},
			"/grpc.x.Y/z /grpc.x.Y/z* /shop.v1.Cart/get /shop.v1.Cart/g* /shop.v1.Crat/Get /shop.v1.Crat/* /shop.v1.Crat* */pay", "/grpc.x.Y/z /grpc.x.Y/z* /shop.v1.Cart/get /shop.v1.Cart/g*",
		},
	} {
		c.rule.Name = "suspended"
		for shared, want := range map[bool]string{false: c.want, true: c.shared} {
			for list, config := range map[string]authz.Config{
				"Deny":  {Shared: shared, Policy: authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{c.rule}}},
				"Allow": {Shared: shared, Policy: authz.Policy{Allow: []authz.Rule{c.rule}}},
			} {
				var texts []string
				for pattern := range strings.FieldsSeq(want) {
					texts = append(texts, `authz.Config.Policy.`+list+`[0] "suspended"("`+pattern+`")`)
				}
				for _, x := range []hauberk.Interceptor{authz.New(config), hauberk.Shadow(authz.New(config)), hauberk.When(func(*hauberk.Call) bool { return false }, authz.New(config))} {
					if got := hauberk.Must(hauberk.New(x)).Coverage(services).Unmatched; !slices.Equal(got, texts) {
						t.Errorf("%s, %s, shared %t: unmatched are %q; want %q", name, list, shared, got, texts)
					}
				}
			}
		}
	}
}

// TestServeWithUnmatchedPatterns: a server whose rule of Deny matches no method does not serve.
func TestServeWithUnmatchedPatterns(t *testing.T) {
	chain := hauberk.Must(hauberk.New(authz.New(authz.Config{Policy: authz.Policy{
		Allow: []authz.Rule{all()},
		Deny:  []authz.Rule{{Name: "suspended", Methods: []string{strings.ToLower(tests)}, Metadata: []authz.MetadataMatch{{Key: "x", Values: []string{"y"}}}}},
	}})))
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return nil }})
	if err := srv.Serve(bufconn.Listen(1)); err == nil || !strings.Contains(err.Error(), `Deny[0] "suspended"("`) {
		t.Errorf("Serve returned %v; want the rule", err)
	}
}

// TestManyUnmatchedPatterns: an error names 20 patterns.
func TestManyUnmatchedPatterns(t *testing.T) {
	rule := authz.Rule{Methods: []string{"*"}}
	for i := range 25 {
		rule.Methods = append(rule.Methods, "shop.v"+strings.Repeat("1", i+1)+".*")
	}
	chain := hauberk.Must(hauberk.New(authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{rule}}})))
	cov := chain.Coverage(map[string]grpc.ServiceInfo{"a.B": {Methods: []grpc.MethodInfo{{Name: "C"}}}})
	if err := cov.Err(); len(cov.Unmatched) != 25 || err == nil || strings.Count(err.Error(), "Allow[0]") != 20 || !strings.Contains(err.Error(), ", and 5 more") {
		t.Errorf("the error is %v, for %d patterns", err, len(cov.Unmatched))
	}
}
