package retry_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// The idempotency of a policy decides in all kinds of calls, and the configuration overrides it.
func TestWithPolicy(t *testing.T) {
	stated := func(kind hauberk.Kind, idempotent bool) *hauberk.DescriptorPolicy {
		return &hauberk.DescriptorPolicy{Methods: []hauberk.MethodPolicy{{
			Method: strings.TrimPrefix(hauberktest.FullMethod(kind), "/"), Idempotent: idempotent,
		}}}
	}
	for name, c := range map[string]struct {
		idempotent bool
		config     retry.Config
		calls      int64
	}{
		"idempotent":               {true, retry.Config{}, 2},
		"not idempotent":           {false, retry.Config{}, 1},
		"overridden by Methods":    {false, retry.Config{Methods: []string{"hauberk.test.v1.*"}}, 2},
		"overridden by AllMethods": {false, retry.Config{AllMethods: true}, 2},
		"another is overridden":    {false, retry.Config{Methods: []string{"other.*"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				c.config.MaxReplayBytes = 1 << 10
				b := failing(1, codes.Unavailable)
				r := retry.New(c.config, retry.WithSleep((&waits{}).sleep), retry.WithPolicy(stated(kind, c.idempotent)))
				out := start(t, kind, b, r).Call(t.Context())
				if want := map[int64]codes.Code{1: codes.Unavailable, 2: codes.OK}[c.calls]; hauberk.CodeOf(out.Err) != want {
					t.Errorf("the call ended with %v; want %s", out.Err, want)
				}
				wantCalls(t, b, c.calls)
			})
		})
	}
}

// The policy of a method overrides its idempotency_level, also without WithPolicy. With it Explain says
// which setting decides.
func TestWithPolicyLevels(t *testing.T) {
	const cart = "hauberk.policy.test.v1.Cart"
	policy, err := hauberk.FromDescriptors(policypb.File_internal_policypb_shop_proto.Services().ByName("Cart"))
	if err != nil {
		t.Fatal(err)
	}
	config := retry.Config{Methods: []string{cart + "/Pay"}}
	with := hauberk.Must(hauberk.New(retry.New(config, retry.WithPolicy(policy))))
	without := hauberk.Must(hauberk.New(retry.New(config, retry.WithPolicy(nil))))
	for method, want := range map[string]string{
		"Get":    "idempotent true: option (hauberk.v1.policy) of " + cart + "/Get",
		"Refund": "idempotent false: option (hauberk.v1.policy) of " + cart + "/Refund",
		"List":   "idempotent true: option idempotency_level of " + cart + "/List",
		"Browse": "idempotent false: default",
		"Pay":    "idempotent true: retry.Config.Methods",
	} {
		e, err := with.Explain(cart + "/" + method)
		if err != nil || len(e.Steps[0].Settings) != 1 || e.Steps[0].Settings[0].String() != want {
			t.Errorf("Explain returned %+v, %v; want %q", e, err, want)
		}
		if e, _ := without.Explain(cart + "/" + method); (e.Steps[0].Settings != nil) != (method == "Pay") {
			t.Errorf("without a policy Explain lists %v of %s", e.Steps[0].Settings, method)
		}
	}
	all := hauberk.Must(hauberk.New(retry.New(retry.Config{AllMethods: true}, retry.WithPolicy(policy))))
	if e, _ := all.Explain(cart + "/Refund"); e.Steps[0].Settings[0].Source != "retry.Config.AllMethods" {
		t.Errorf("Explain lists %v", e.Steps[0].Settings)
	}
	if e, _ := with.Explain("other.Service/Do"); e.Steps[0].Settings != nil {
		t.Errorf("Explain lists %v for a method of no policy", e.Steps[0].Settings)
	}
	for _, given := range []*hauberk.DescriptorPolicy{policy, nil} {
		for method, want := range map[string]int{"Get": 2, "Refund": 1, "List": 2, "Browse": 1, "Pay": 2} {
			attempts := 0
			conn := hauberk.Must(hauberk.New(retry.New(
				retry.Config{MaxAttempts: 2, Methods: config.Methods}, retry.WithPolicy(given), retry.WithSleep((&waits{}).sleep),
			))).ClientConn(hauberktest.Conn{Outcome: func(string) error {
				attempts++
				return status.Error(codes.Unavailable, "down")
			}})
			_ = conn.Invoke(t.Context(), "/"+cart+"/"+method, nil, nil)
			if attempts != want {
				t.Errorf("%s made %d attempts; want %d", method, attempts, want)
			}
		}
	}
}
