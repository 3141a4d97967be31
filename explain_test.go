package hauberk_test

import (
	"fmt"
	"testing"

	"github.com/hauberk-rpc/hauberk"
)

func TestExplain(t *testing.T) {
	chain := hauberk.Must(hauberk.Config{Public: []string{"/grpc.health.v1.Health/*", "shop.v1.Cart/List"}}.New(
		phase(hauberk.PhaseLogging, "logging"),
		hauberk.Except("grpc.health.v1.Health/*", authn("authn")),
		hauberk.For("shop.v1.Cart/*",
			hauberk.Except("/shop.v1.Cart/List", hauberk.Named("per user", limiterOf(nil))),
			hauberk.When(sometimes, hauberk.When(always, hauberk.Func(idle))),
		),
		hauberk.Shadow(authn("authz")),
		hauberk.When(sometimes, hauberk.Shadow(authn("experiment"))),
	))
	cases := map[string]string{
		"shop.v1.Cart/Get": `/shop.v1.Cart/Get
  1  runs     logging: for every method
  2  runs     authn: matched by Except("grpc.health.v1.Health/*")
  3  runs     per user: matched by For("shop.v1.Cart/*"); matched by Except("shop.v1.Cart/List")
  4  runs     func: matched by For("shop.v1.Cart/*"); if its condition holds for the call
  5  runs     authz: in shadow: decides and does not enforce
  6  runs     experiment: if its condition holds for the call; in shadow: decides and does not enforce
`,
		"/shop.v1.Cart/List": `/shop.v1.Cart/List (public)
  1  runs     logging: for every method
  2  runs     authn: matched by Except("grpc.health.v1.Health/*")
  3  skipped  per user: not matched by Except("shop.v1.Cart/List")
  4  runs     func: matched by For("shop.v1.Cart/*"); if its condition holds for the call
  5  runs     authz: in shadow: decides and does not enforce
  6  runs     experiment: if its condition holds for the call; in shadow: decides and does not enforce
`,
		"grpc.health.v1.Health/Check": `/grpc.health.v1.Health/Check (public)
  1  runs     logging: for every method
  2  skipped  authn: not matched by Except("grpc.health.v1.Health/*")
  3  skipped  per user: not matched by For("shop.v1.Cart/*")
  4  skipped  func: not matched by For("shop.v1.Cart/*")
  5  runs     authz: in shadow: decides and does not enforce
  6  runs     experiment: if its condition holds for the call; in shadow: decides and does not enforce
`,
	}
	for method, want := range cases {
		e, err := chain.Explain(method)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.String(); got != want {
			t.Errorf("Explain(%q):\n%s\nwant:\n%s", method, got, want)
		}
	}
	e, err := chain.Explain("shop.v1.Cart/Get")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Steps[0]; got.Phase != hauberk.PhaseLogging || !got.Runs {
		t.Errorf("the first step is %+v", got)
	}
}

// Explain returns whether a method is idempotent, and where that is set, if the chain has an interceptor for which
// that matters: otherwise it is not seen why a call is not retried or cached.
func TestExplainIdempotency(t *testing.T) {
	policy, err := hauberk.FromRegistry("hauberk.policy.test.v1.Cart")
	if err != nil {
		t.Fatal(err)
	}
	err = policy.Override("hauberk.policy.test.v1.Cart/*", func(m *hauberk.MethodPolicy) {
		m.Idempotent, m.Roles, m.Scopes = true, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		phase  hauberk.Phase
		policy *hauberk.DescriptorPolicy
		method string
		want   string
	}{
		{
			hauberk.PhaseRetry, nil, "hauberk.policy.test.v1.Cart/Get",
			"[idempotent true: option (hauberk.v1.policy) of hauberk.policy.test.v1.Cart/Get]",
		},
		{
			hauberk.PhaseCache, nil, "hauberk.policy.test.v1.Cart/List",
			"[idempotent true: option idempotency_level of hauberk.policy.test.v1.Cart/List]",
		},
		{hauberk.PhaseRetry, nil, "hauberk.policy.test.v1.Cart/Pay", "[idempotent false: no option of the method or its service]"},
		{hauberk.PhaseRetry, policy, "hauberk.policy.test.v1.Cart/Pay", "[idempotent true: the application]"},
		{
			hauberk.PhaseRetry, nil, "unknown.Service/Do",
			"[idempotent false: this program does not link the .proto file of the method]",
		},
		{hauberk.PhaseLogging, nil, "unknown.Service/Do", "[]"},
	} {
		e, err := hauberk.Must(hauberk.Config{Policy: c.policy}.New(phase(c.phase, "x"))).Explain(c.method)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(e.Settings); got != c.want {
			t.Errorf("%s: settings %s; want %s", c.method, got, c.want)
		}
	}
}

// limiterOf makes an interceptor that decides and reads some state.
func limiterOf(reads []hauberk.StateKey) hauberk.Interceptor {
	return declare(hauberk.Declaration{Name: "limit", Phase: hauberk.PhaseLimit, Decides: true, Reads: reads})
}

func TestExplainOfAnEmptyChain(t *testing.T) {
	e, err := hauberk.Must(hauberk.New()).Explain("a.B/C")
	if err != nil || e.String() != "/a.B/C\n" || len(e.Steps) != 0 {
		t.Errorf("Explain of an empty chain: %v, %v", e, err)
	}
}

func TestExplainRejectsOtherNames(t *testing.T) {
	chain := hauberk.Must(hauberk.New())
	for method, shown := range map[string]string{
		"": `"/"`, "/": `"/"`, "Get": `"/Get"`, "a.B/": `"/a.B/"`, "//Get": `"//Get"`, "/Get": `"/Get"`,
	} {
		e, err := chain.Explain(method)
		want := `hauberk: malformed method name ` + shown + `: want "/package.Service/Method"`
		if e != nil || err == nil || err.Error() != want {
			t.Errorf("Explain(%q) returned %v, %v; want %s", method, e, err, want)
		}
	}
}
