package transform_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// The deadline of a policy is the longest timeout of its method, on both sides and in all kinds.
// Timeouts of the configuration override it.
func TestWithPolicy(t *testing.T) {
	const none = 0
	for _, test := range []struct {
		name    string
		config  transform.Config
		stated  time.Duration
		callers time.Duration
		want    time.Duration
	}{
		{"none", transform.Config{}, none, none, none},
		{"stated", transform.Config{}, time.Second, none, time.Second},
		{"stated, caller's later", transform.Config{}, time.Second, time.Minute, time.Second},
		{"stated, caller's sooner", transform.Config{}, time.Hour, time.Minute, time.Minute},
		{"overridden by MaxTimeout", transform.Config{MaxTimeout: time.Minute}, time.Second, none, time.Minute},
		{"overridden by DefaultTimeout", transform.Config{DefaultTimeout: time.Minute}, time.Second, none, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubbles(t, everywhere, func(t *testing.T, c hauberktest.Case) {
				policy := &hauberk.DescriptorPolicy{Methods: []hauberk.MethodPolicy{
					{Method: strings.TrimPrefix(hauberktest.FullMethod(c.Kind), "/"), Deadline: test.stated},
					{Method: "other.Service/Do", Deadline: time.Nanosecond},
				}}
				var got time.Duration
				inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if deadline, ok := ctx.Deadline(); ok {
						got = time.Until(deadline)
					}
					return next(ctx, call)
				})
				env := c.Start(t, transform.New(test.config, transform.WithPolicy(policy)), inner)
				ctx := t.Context()
				if test.callers > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.callers)
					defer cancel()
				}
				if out := env.Call(ctx); out.Err != nil {
					t.Fatal(out.Err)
				}
				if got != test.want {
					t.Errorf("the timeout is %v; want %v", got, test.want)
				}
			})
		})
	}
}

// Explain says which setting made the deadline.
func TestWithPolicyExplain(t *testing.T) {
	const cart = "hauberk.policy.test.v1.Cart"
	policy, err := hauberk.FromDescriptors(policypb.File_internal_policypb_shop_proto.Services().ByName("Cart"))
	if err != nil {
		t.Fatal(err)
	}
	for want, config := range map[string]transform.Config{
		"deadline 1.5s: option (hauberk.v1.policy) of " + cart + "/Get": {},
		"deadline 1m0s: transform.Config.MaxTimeout":                    {MaxTimeout: time.Minute},
		"deadline 1m0s: transform.Config.DefaultTimeout":                {DefaultTimeout: time.Minute},
		"deadline 1m0s: transform.Config.Timeout":                       {Timeout: time.Minute},
		"deadline none: transform.Config.NoTimeout":                     {NoTimeout: true},
	} {
		e, err := hauberk.Must(hauberk.New(transform.New(config, transform.WithPolicy(policy)))).Explain(cart + "/Get")
		if err != nil || len(e.Steps[0].Settings) != 1 || e.Steps[0].Settings[0].String() != want {
			t.Errorf("Explain returned %+v, %v; want %q", e, err, want)
		}
	}
	for _, x := range []*transform.Interceptor{
		transform.New(transform.Config{}, transform.WithPolicy(policy)), transform.New(transform.Config{}, transform.WithPolicy(nil)),
	} {
		if e, _ := hauberk.Must(hauberk.New(x)).Explain("other.Service/Do"); e.Steps[0].Settings != nil {
			t.Errorf("Explain lists %v for a method of no policy", e.Steps[0].Settings)
		}
	}
}
