package hedge_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// TestBadConfig: each wrong field is reported by its name.
func TestBadConfig(t *testing.T) {
	live := func(c hedge.Config) hedge.Config {
		c.DelayQuantile = 0.9
		return c
	}
	for name, c := range map[string]struct {
		config hedge.Config
		want   string
	}{
		"no attempts":          {hedge.Config{MaxAttempts: -1}, "MaxAttempts is -1; want 1 to 5"},
		"too many attempts":    {hedge.Config{MaxAttempts: 6}, "MaxAttempts is 6; want 1 to 5"},
		"delay":                {hedge.Config{Delay: -time.Second}, "Delay is -1s"},
		"two delays":           {hedge.Config{Delay: time.Second, NoDelay: true}, "NoDelay is set, and so is Delay"},
		"no delay, quantile":   {hedge.Config{DelayQuantile: 0.5, NoDelay: true}, "NoDelay is set, and so is Delay"},
		"quantile of 1":        {hedge.Config{DelayQuantile: 1}, "DelayQuantile is 1;"},
		"a percentage":         {hedge.Config{DelayQuantile: 95}, "DelayQuantile is 95"},
		"negative quantile":    {hedge.Config{DelayQuantile: -0.1}, "DelayQuantile is -0.1"},
		"quantile's NaN":       {hedge.Config{DelayQuantile: math.NaN()}, "DelayQuantile is NaN"},
		"bounds alone":         {hedge.Config{MinDelay: time.Second}, "without DelayQuantile"},
		"window alone":         {hedge.Config{Window: time.Second}, "without DelayQuantile"},
		"least delay":          {live(hedge.Config{MinDelay: -1}), "MinDelay is -1ns"},
		"greatest delay":       {live(hedge.Config{MaxDelay: -1}), "MaxDelay is -1ns"},
		"bounds":               {live(hedge.Config{MaxDelay: 1}), "MaxDelay is 1ns, below MinDelay, 1ms"},
		"samples":              {live(hedge.Config{MinSamples: -1}), "MinSamples is -1"},
		"a window of a year":   {live(hedge.Config{Window: 8760 * time.Hour}), "Window is 8760h0m0s"},
		"a negative window":    {live(hedge.Config{Window: -1}), "Window is -1ns"},
		"a window of a moment": {live(hedge.Config{Window: 1}), "Window is 1ns"},
		"code OK":              {hedge.Config{NonFatalStatusCodes: []codes.Code{codes.OK}}, "NonFatalStatusCodes has OK"},
		"no code":              {hedge.Config{NonFatalStatusCodes: []codes.Code{99}}, "NonFatalStatusCodes has Code(99)"},
		"server delay":         {hedge.Config{MaxServerDelay: -1}, "MaxServerDelay is -1ns"},
		"method":               {hedge.Config{Methods: []string{"Get"}}, `Methods has "Get"`},
	} {
		if _, err := hauberk.New(all(c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
}

// TestBadOptions: nil options, nil budgets and bad budgets are reported.
func TestBadOptions(t *testing.T) {
	for name, c := range map[string]struct {
		interceptor hauberk.Interceptor
		want        string
	}{
		"nil option": {hedge.New(hedge.Config{}, nil), "option 1 of New is nil"},
		"nil budget": {hedge.New(hedge.Config{}, hedge.WithBudget(nil)), "nil budget"},
		"bad budget": {
			hedge.New(hedge.Config{}, hedge.WithBudget(retrybudget.New(retrybudget.Config{Ratio: -1}))), "Ratio is -1",
		},
		"zero budget": {hedge.New(hedge.Config{}, hedge.WithBudget(&retrybudget.Budget{})), "zero Budget"},
		"both": {
			hedge.New(hedge.Config{NoBudget: true}, hedge.WithBudget(retrybudget.New(retrybudget.Config{}))),
			"NoBudget is set, and WithBudget is given",
		},
		"zero value": {&hedge.Interceptor{}, "make it with hedge.New"},
	} {
		if _, err := hauberk.New(c.interceptor); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	for name, c := range map[string]hedge.Config{
		"zero": {}, "most attempts": {MaxAttempts: 5}, "off": {MaxAttempts: 1}, "at once": {NoDelay: true},
		"live": {DelayQuantile: 0.5}, "long": {DelayQuantile: 0.5, MinDelay: time.Minute},
	} {
		if _, err := hauberk.New(hedge.New(c)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAllErrors: all wrong fields are reported at once.
func TestAllErrors(t *testing.T) {
	_, err := hauberk.New(hedge.New(hedge.Config{
		Methods: []string{"Get"}, MaxAttempts: -1, Delay: -1, DelayQuantile: 2, MinDelay: -1, MaxDelay: -2, MinSamples: -1,
		Window: -1, NonFatalStatusCodes: []codes.Code{codes.OK}, MaxServerDelay: -1,
	}, hedge.WithBudget(nil), nil))
	for _, want := range []string{
		"Methods", "MaxAttempts", "Delay is", "DelayQuantile", "MinDelay", "MaxDelay", "MinSamples", "Window",
		"NonFatalStatusCodes", "MaxServerDelay", "WithBudget", "option 2",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
}

// TestSides: hedge cannot be attached to a server.
func TestSides(t *testing.T) {
	if got := hedge.New(hedge.Config{}).Declare().Sides; got != hauberk.OnlyClients {
		t.Errorf("Sides is %v, want OnlyClients", got)
	}
}

// TestConfigIsCopied: a later change of the caller's slices changes nothing.
func TestConfigIsCopied(t *testing.T) {
	list, methods := []codes.Code{codes.Aborted}, []string{"hauberk.test.v1.TestService/*"}
	h := hedge.New(hedge.Config{Methods: methods, NonFatalStatusCodes: list})
	list[0], methods[0] = codes.NotFound, "x.Y/*"
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		for code, want := range map[codes.Code]int{codes.NotFound: 1, codes.Aborted: 2} {
			s := scripted(step{code: code})
			call(t, start(t, kind, s, h), kind)
			if len(s.starts) != want {
				t.Errorf("%d attempts after %s, want %d", len(s.starts), code, want)
			}
		}
	})
}

// TestMethods: a method is hedged if the configuration, the policy or its .proto file says that it
// is idempotent, in this order, and Explain says which.
func TestMethods(t *testing.T) {
	const cart = "hauberk.policy.test.v1.Cart"
	policy, err := hauberk.FromDescriptors(policypb.File_internal_policypb_shop_proto.Services().ByName("Cart"))
	if err != nil {
		t.Fatal(err)
	}
	config := hedge.Config{Methods: []string{cart + "/Pay"}, NonFatalStatusCodes: []codes.Code{codes.Unavailable}}
	for _, given := range []*hauberk.DescriptorPolicy{policy, nil} {
		for method, want := range map[string]int{"Get": 2, "Refund": 1, "List": 2, "Browse": 1, "Pay": 2} {
			s := &counting{fail: codes.Unavailable}
			chain := hauberk.Must(hauberk.New(hedge.New(config, hedge.WithPolicy(given))))
			wantCode(t, chain.ClientConn(s).Invoke(t.Context(), "/"+cart+"/"+method, nil, new(emptypb.Empty)), codes.Unavailable)
			if n := int(s.calls.Load()); n != want {
				t.Errorf("%s made %d attempts; want %d", method, n, want)
			}
		}
	}
	for method, want := range map[string]string{
		"Get":    "idempotent true: option (hauberk.v1.policy) of " + cart + "/Get",
		"Browse": "idempotent false: default",
		"Pay":    "idempotent true: hedge.Config.Methods",
	} {
		e, err := hauberk.Must(hauberk.New(hedge.New(config, hedge.WithPolicy(policy)))).Explain(cart + "/" + method)
		if err != nil || len(e.Steps[0].Settings) != 1 || e.Steps[0].Settings[0].String() != want {
			t.Errorf("Explain returned %+v, %v; want %q", e, err, want)
		}
	}
}
