package authz_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// Rules do not hold for public methods: Coverage reports those of Deny that name no others, and neither Coverage nor
// Explain lists authz for such a method.
func TestPublicMethods(t *testing.T) {
	services := map[string]grpc.ServiceInfo{
		"shop.v1.Cart":    {Methods: []grpc.MethodInfo{{Name: "Get"}, {Name: "Pay"}}},
		"shop.v1.Catalog": {Methods: []grpc.MethodInfo{{Name: "List"}}},
	}
	stated := &hauberk.DescriptorPolicy{Methods: []hauberk.MethodPolicy{{Method: "shop.v1.Cart/Get", Public: true}}}
	for name, c := range map[string]struct {
		public []string
		policy *hauberk.DescriptorPolicy
		deny   authz.Rule
		want   []string
	}{
		"no public method":     {nil, nil, authz.Rule{Methods: []string{"shop.v1.Catalog/*"}}, nil},
		"a method":             {[]string{"shop.v1.Catalog/*"}, nil, authz.Rule{Methods: []string{"shop.v1.Catalog/List"}}, []string{"shop.v1.Catalog/List"}},
		"a service":            {[]string{"shop.v1.Catalog/List"}, nil, authz.Rule{Methods: []string{"shop.v1.Catalog/*"}}, []string{"shop.v1.Catalog/*"}},
		"a package":            {[]string{"shop.v1.Catalog/List"}, nil, authz.Rule{Methods: []string{"shop.*"}}, nil},
		"a package of public":  {[]string{"shop.*"}, nil, authz.Rule{Methods: []string{"shop.v1.*"}}, []string{"shop.v1.*"}},
		"all methods":          {[]string{"*"}, nil, authz.Rule{Methods: []string{"*"}}, nil},
		"one of two patterns":  {[]string{"shop.v1.Catalog/*"}, nil, authz.Rule{Methods: []string{"shop.v1.Cart/Pay", "shop.v1.Catalog/*"}}, []string{"shop.v1.Catalog/*"}},
		"a path":               {[]string{"shop.v1.Catalog/*"}, nil, authz.Rule{Paths: []string{"/shop.v1.Catalog/*"}}, []string{"/shop.v1.Catalog/*"}},
		"a path of others too": {[]string{"shop.v1.Catalog/*"}, nil, authz.Rule{Paths: []string{"/shop.v1.C*"}}, nil},
		"by the .proto file":   {nil, stated, authz.Rule{Methods: []string{"shop.v1.Cart/Get"}}, []string{"shop.v1.Cart/Get"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.deny.Name = "suspended"
			rules := authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{c.deny}}
			var want []string
			for _, pattern := range c.want {
				want = append(want, `authz.Config.Policy.Deny[0] "suspended"("`+pattern+
					`") denies only public methods, which pass without a rule`)
			}
			for _, x := range []hauberk.Interceptor{
				authz.New(authz.Config{Policy: rules}), hauberk.Shadow(authz.New(authz.Config{Policy: rules})),
			} {
				chain := hauberk.Must(hauberk.Config{Public: c.public, Policy: c.policy}.New(login{}, x))
				if got := chain.Coverage(services).Invalid; !slices.Equal(got, want) {
					t.Errorf("the rules are invalid: %q; want %q", got, want)
				}
			}
		})
	}

	rules := authz.Policy{Allow: []authz.Rule{all()}}
	chain := hauberk.Must(hauberk.Config{Public: []string{"shop.v1.Catalog/*"}}.New(login{}, authz.New(authz.Config{Policy: rules})))
	for method, runs := range map[string]bool{"/shop.v1.Cart/Get": true, "/shop.v1.Catalog/List": false} {
		e, err := chain.Explain(method)
		if err != nil || e.Steps[1].Runs != runs || strings.Contains(e.Steps[1].Why, "the method is public") == runs {
			t.Errorf("%s: %v, %v; want that authz runs: %t", method, e, err, runs)
		}
		for _, row := range chain.Coverage(services).Rows {
			if row.Method == method && row.Runs[1] != runs {
				t.Errorf("%s: the row is %+v; want that authz runs: %t", method, row, runs)
			}
		}
	}
}
