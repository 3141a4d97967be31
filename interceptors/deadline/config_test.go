package deadline_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// TestBadConfig: everything that is wrong is reported at once, with its place and value.
func TestBadConfig(t *testing.T) {
	all := []string{"*"}
	for name, c := range map[string]struct {
		config deadline.Config
		opts   []deadline.Option
		want   []string
	}{
		"nothing": {deadline.Config{}, nil, []string{"nothing is set; want a time, such as Default or Max"}},
		"negative times": {
			deadline.Config{
				Default: -1, Max: -2, Margin: -3, MinTimeLeft: -4, ReceiveTimeout: -5, SendTimeout: -6, IdleTimeout: -7,
				TypicalQuantile: -0.5, TypicalWindow: -8,
			},
			nil,
			[]string{
				"Default is -1ns; want more than 0, or 0 for none", "Max is -2ns", "Margin is -3ns", "MinTimeLeft is -4ns",
				"ReceiveTimeout is -5ns", "SendTimeout is -6ns", "IdleTimeout is -7ns", "TypicalQuantile is -0.5", "TypicalWindow is -8ns",
			},
		},
		"quantile of 1":    {deadline.Config{TypicalQuantile: 1}, nil, []string{"TypicalQuantile is 1; want more than 0 and less than 1"}},
		"quantile of NaN":  {deadline.Config{TypicalQuantile: math.NaN()}, nil, []string{"TypicalQuantile is NaN"}},
		"window alone":     {deadline.Config{TypicalWindow: time.Second}, nil, []string{"TypicalWindow is 1s without TypicalQuantile"}},
		"window of a year": {deadline.Config{TypicalQuantile: 0.5, TypicalWindow: 365 * 24 * time.Hour}, nil, []string{"TypicalWindow is 8760h0m0s; want"}},
		"Max below Default": {
			deadline.Config{Default: 2 * time.Second, Max: time.Second}, nil, []string{"Default is 2s, and Max is 1s; want at most that"},
		},
		"Max below the Default of a rule": {
			deadline.Config{Max: time.Second, Rules: []deadline.Rule{{Methods: all, Default: 2 * time.Second}}},
			nil,
			[]string{"Rules[0].Default is 2s, and Max is 1s; want at most that"},
		},
		"timeouts without effect": {
			deadline.Config{IdleTimeout: time.Second, ReceiveTimeout: 2 * time.Second, SendTimeout: 3 * time.Second},
			nil,
			[]string{"ReceiveTimeout is 2s, and IdleTimeout is 1s", "SendTimeout is 3s, and IdleTimeout is 1s"},
		},
		"Max below the rest": {
			deadline.Config{Max: time.Second, Margin: time.Second, MinTimeLeft: time.Minute},
			nil,
			[]string{"Margin is 1s, and Max is 1s; want less", "MinTimeLeft is 1m0s, and Max is 1s; want less"},
		},
		"rules": {
			rules(
				deadline.Rule{},
				deadline.Rule{Methods: []string{"a.B/C", "no pattern"}, Max: -2},
				deadline.Rule{Methods: []string{"/a.B/C"}, Max: time.Second},
				deadline.Rule{Methods: []string{"a.B/D"}},
			), nil,
			[]string{
				"Rules[0] has no Methods", `Rules[1].Methods has "no pattern"; want`, "Rules[1].Max is -2ns; want more than 0, 0 for",
				`Rules[2].Methods has "/a.B/C", which Rules[1] has too`, "Rules[3] has no setting, so it has no effect",
			},
		},
		"a nil option": {deadline.Config{Max: 1}, []deadline.Option{nil}, []string{"option 1 of New is nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hauberk.New(deadline.New(c.config, c.opts...))
			if err == nil {
				t.Fatal("New takes it")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not have %q:\n%v", want, err)
				}
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(c.want) {
				t.Errorf("%d errors; want %d:\n%v", lines, len(c.want), err)
			}
		})
	}
	if _, err := hauberk.New(new(deadline.Interceptor)); err == nil {
		t.Error("New takes a zero Interceptor")
	}
}

// TestGoodConfig: settings that seem to contradict each other are fine if the more specific one is meant.
func TestGoodConfig(t *testing.T) {
	for name, config := range map[string]deadline.Config{
		"a general Default above the Max of a rule": {
			Default: time.Minute, Rules: []deadline.Rule{{Methods: []string{"a.B/C"}, Max: time.Second}},
		},
		"all off for a method": {
			Default: time.Second, Max: time.Minute, IdleTimeout: time.Second, TypicalQuantile: 0.5,
			Rules: []deadline.Rule{{
				Methods: []string{"a.B/C"}, Default: deadline.Off, Max: deadline.Off, IdleTimeout: deadline.Off, TypicalQuantile: deadline.Off,
			}},
		},
		"EndEarly alone": {EndEarly: true},
		"a window of a rule": {
			TypicalWindow: time.Second, Rules: []deadline.Rule{{Methods: []string{"a.B/C"}, TypicalQuantile: 0.5}},
		},
	} {
		if _, err := hauberk.New(deadline.New(config)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOnlyDecides: an interceptor that only rejects can be in Shadow, others cannot.
func TestOnlyDecides(t *testing.T) {
	for name, c := range map[string]struct {
		config  deadline.Config
		decides bool
	}{
		"rejects":           {deadline.Config{MinTimeLeft: 1, TypicalQuantile: 0.5}, true},
		"rejects by a rule": {rules(deadline.Rule{Methods: []string{"*"}, MinTimeLeft: 1, Max: deadline.Off}), true},
		"caps":              {deadline.Config{MinTimeLeft: 1, Max: time.Second}, false},
		"caps by a rule":    {rules(deadline.Rule{Methods: []string{"*"}, Max: time.Second}), false},
		"ends idle calls":   {deadline.Config{IdleTimeout: time.Second}, false},
	} {
		if _, err := hauberk.New(hauberk.Shadow(deadline.New(c.config))); (err == nil) != c.decides {
			t.Errorf("%s: in Shadow: %v", name, err)
		}
	}
}

// TestPrecedence: of several rules that match a method the most specific pattern that has a setting counts, then the policy,
// then the Config. Explain says so.
func TestPrecedence(t *testing.T) {
	const cart = "hauberk.policy.test.v1.Cart"
	policy, err := hauberk.FromDescriptors(policypb.File_internal_policypb_shop_proto.Services().ByName("Cart"))
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.Override(cart+"/Get", func(m *hauberk.MethodPolicy) { m.Deadline = 2 * time.Second }); err != nil {
		t.Fatal(err)
	}
	config := deadline.Config{
		Default: time.Second, Max: time.Minute, Margin: 10 * time.Millisecond,
		Rules: []deadline.Rule{
			{Methods: []string{"hauberk.*"}, IdleTimeout: 1 * time.Hour, SendTimeout: 10 * time.Second},
			{Methods: []string{cart + "/*"}, IdleTimeout: 2 * time.Hour},
			{Methods: []string{"hauberk.policy.*"}, IdleTimeout: 3 * time.Hour, TypicalQuantile: 0.5},
			{Methods: []string{cart + "/Pay"}, Max: 3 * time.Second, Margin: deadline.Off, IdleTimeout: deadline.Off},
		},
	}
	for i := range config.Rules { // the order of the rules does not matter
		config.Rules = append(config.Rules[1:], config.Rules[0])
		x := deadline.New(config, deadline.WithPolicy(policy), deadline.WithPolicy(nil))
		chain := hauberk.Must(hauberk.New(x))
		for method, want := range map[string][]string{
			cart + "/Get": {
				"Default 1s", "Max 2s", "Margin 10ms", "SendTimeout 10s", "IdleTimeout 2h0m0s", "TypicalQuantile 0.5",
			},
			cart + "/Pay":           {"Default 1s", "Max 3s", "SendTimeout 10s", "TypicalQuantile 0.5"},
			"hauberk.policy.v2.A/B": {"Default 1s", "Max 1m0s", "Margin 10ms", "SendTimeout 10s", "IdleTimeout 3h0m0s", "TypicalQuantile 0.5"},
			"hauberk.other.v1.A/B":  {"Default 1s", "Max 1m0s", "Margin 10ms", "SendTimeout 10s", "IdleTimeout 1h0m0s"},
			"other.A/B":             {"Default 1s", "Max 1m0s", "Margin 10ms"},
			"hauberkother.v1.A/B":   {"Default 1s", "Max 1m0s", "Margin 10ms"},
		} {
			e, err := chain.Explain(method)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range e.Steps[0].Settings {
				got = append(got, s.Name+" "+s.Value)
				if s.Name == "Max" && s.Value == "2s" && s.Source != "the application" {
					t.Errorf("the source of %v is %q", s, s.Source)
				}
				if s.Name == "Default" && s.Source != "deadline.Config" {
					t.Errorf("the source of %v is %q", s, s.Source)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("order %d: %s has %q; want %q", i, method, got, want)
			}
		}
	}
}

// TestWithPolicy: a deadline of a .proto file is a cap for all kinds and both sides, which a rule overrides.
func TestWithPolicy(t *testing.T) {
	matrix(t, func(t *testing.T, c hauberktest.Case) {
		name := strings.TrimPrefix(hauberktest.FullMethod(c.Kind), "/")
		policy := &hauberk.DescriptorPolicy{Methods: []hauberk.MethodPolicy{{Method: name, Deadline: timeout}}}
		for _, overridden := range []bool{false, true} {
			var config deadline.Config
			want := timeout
			if overridden {
				want = 2 * timeout
				config = rules(deadline.Rule{Methods: []string{name}, Max: want})
			}
			env := c.StartWith(t, handler(busy["waits for its context"]), deadline.New(config, deadline.WithPolicy(policy)))
			start := time.Now()
			wantReason(t, env.Call(t.Context()).Err, "")
			wantBetween(t, start, want, want)
		}
	})
}

// TestMeasurements: what the interceptor ended is counted by its reason.
func TestMeasurements(t *testing.T) {
	onServers(t, func(t *testing.T, c hauberktest.Case) {
		x := deadline.New(deadline.Config{MinTimeLeft: time.Second, IdleTimeout: timeout, Max: time.Minute})
		env := c.StartWith(t, handler(busy["waits for its context"]), x)
		_ = env.Call(within(t, time.Millisecond))
		_ = env.Call(t.Context())
		synctest.Wait() // until the server's chain has ended: its caller gets the status earlier
		got := map[string]float64{}
		for _, m := range x.Measurements() {
			got[m.Name+m.LabelValue] = m.Value
		}
		if got["deadline_rejected_total"+deadline.ReasonTooShort] != 1 || got["deadline_rejected_total"+deadline.ReasonIdle] != 1 ||
			got["deadline_ended_total"] != 0 {
			t.Errorf("measurements are %v", got)
		}
	})
}

// TestRuleSettings: each field of a rule counts for its methods, and not for others.
func TestRuleSettings(t *testing.T) {
	rule := deadline.Rule{
		Methods: []string{"a.B/C"}, Default: 1 * time.Second, Max: 9 * time.Second, Margin: 3 * time.Second,
		MinTimeLeft: 4 * time.Second, TypicalQuantile: 0.5, ReceiveTimeout: 5 * time.Second, SendTimeout: 6 * time.Second,
		IdleTimeout: 7 * time.Second,
	}
	chain := hauberk.Must(hauberk.New(deadline.New(deadline.Config{Rules: []deadline.Rule{rule}})))
	all := []string{
		"Default 1s", "IdleTimeout 7s", "Margin 3s", "Max 9s", "MinTimeLeft 4s", "ReceiveTimeout 5s", "SendTimeout 6s",
		"TypicalQuantile 0.5",
	}
	for method, want := range map[string][]string{"a.B/C": all, "a.B/D": nil} {
		e, err := chain.Explain(method)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range e.Steps[0].Settings {
			got = append(got, s.Name+" "+s.Value)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q; want %q", method, got, want)
		}
	}
}
