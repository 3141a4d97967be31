package ratelimit_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

var oneAMinute = ratelimit.Config{Limit: 1, Per: time.Minute}

func TestConfig(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	none := func(context.Context, *hauberk.Call) (string, bool) { return "", false }
	for _, c := range []struct {
		name   string
		config ratelimit.Config
		err    string // "" for none
	}{
		{"least", oneAMinute, ""},
		{"fastest", ratelimit.Config{Limit: 1e10, Per: time.Second}, ""},
		{"a burst below the limit", ratelimit.Config{Limit: 100, Per: time.Minute, Burst: 20}, ""},
		{"a burst above the limit", ratelimit.Config{Limit: 1, Per: time.Hour, Burst: 1000}, ""},
		{"a burst as great as a window", ratelimit.Config{
			Limit: 9, Per: time.Millisecond, Burst: 9, Algorithm: ratelimit.FixedWindow,
		}, ""},
		{"one key", ratelimit.Config{Limit: 1, Per: time.Millisecond, MaxKeys: 1}, ""},
		{"zero", ratelimit.Config{}, "Limit is 0; want at least 1\nPer is 0s; want at least 1ms, such as 60*time.Second"},
		{
			"negative",
			ratelimit.Config{Limit: -1, Per: -time.Second, Burst: -1, MaxKeys: -1},
			"Limit is -1; want at least 1\nPer is -1s; want at least 1ms, such as 60*time.Second\n" +
				"Burst is -1; want at least 1, or 0 for as many as Limit\n" +
				"MaxKeys is -1; want 1 to 67108864, or 0 for 65536",
		},
		{
			"a number without a unit",
			ratelimit.Config{Limit: 5, Per: 60},
			"Per is 60ns; want at least 1ms, such as 60*time.Second",
		},
		{
			"what can never be admitted",
			ratelimit.Config{Limit: 100, Per: time.Minute, Burst: 5, Cost: ratelimit.Cost{
				Call: 6, Message: 7, Byte: 8, Methods: map[string]int{"*": 9},
			}},
			"Cost.Call is 6; want at most the burst, 5\nCost.Message is 7; want at most the burst, 5\n" +
				"Cost.Byte is 8; want at most the burst, 5\nCost.Methods has 9 for \"*\"; want at most the burst, 5",
		},
		{
			"calls that wait",
			ratelimit.Config{Limit: 5, Per: time.Minute, OverLimit: ratelimit.Wait},
			"OverLimit is Wait, but calls do not wait; want a limit with Cost.Message, Cost.Byte or Cost.Charged",
		},
		{"messages that wait for a further limit", ratelimit.Config{
			Limit: 5, Per: time.Minute, OverLimit: ratelimit.Wait,
			Also: []ratelimit.Config{{Limit: 5, Per: time.Minute, Cost: ratelimit.Cost{Charged: true}}},
		}, ""},
		{
			"too many keys",
			ratelimit.Config{Limit: 1, Per: time.Millisecond, MaxKeys: math.MaxInt},
			"MaxKeys is 9223372036854775807; want 1 to 67108864, or 0 for 65536",
		},
		{
			"a burst of a window",
			ratelimit.Config{Limit: 9, Per: time.Millisecond, Burst: 5, Algorithm: ratelimit.SlidingWindow},
			"Burst is 5, which SlidingWindow does not have; want it with GCRA only",
		},
		{
			"another algorithm",
			ratelimit.Config{Limit: 9, Per: time.Millisecond, Algorithm: 3},
			"Algorithm is 3; want GCRA, SlidingWindow or FixedWindow",
		},
		{
			"an absurd limit",
			ratelimit.Config{Limit: math.MaxInt, Per: time.Millisecond},
			"a bad combination of Limit, Per and Burst: gcra: limit of 9223372036854775807 permits in 1ms; " +
				"want at most 10 a nanosecond",
		},
		{
			"an absurd burst",
			ratelimit.Config{Limit: 1, Per: time.Second, Burst: math.MaxInt},
			"a bad combination of Limit, Per and Burst: gcra: burst of 9223372036854775807 permits at 1 in 1s; " +
				"want one that is back within 640511h56m49.213693952s",
		},
		{
			"an absurd period",
			ratelimit.Config{Limit: 1, Per: century, Algorithm: ratelimit.FixedWindow},
			"a bad combination of Limit, Per and Burst: window: period of 876000h0m0s; " +
				"want at most 640511h56m49.213693952s",
		},
		{
			"an absurd limit, and more",
			ratelimit.Config{Limit: math.MaxInt, Per: time.Millisecond, MaxKeys: -1},
			"a bad combination of Limit, Per and Burst: gcra: limit of 9223372036854775807 permits in 1ms; " +
				"want at most 10 a nanosecond\nMaxKeys is -1; want 1 to 67108864, or 0 for 65536",
		},
		{
			"no name", by(oneAMinute, callkey.Func("", none)),
			"By: callkey.Func was given an empty name; want the kind of value, such as \"project\"",
		},
		{"no function", by(oneAMinute, callkey.Func("tenant", nil)), "By: callkey.Func \"tenant\" was given a nil function"},
		{
			"no metadata", by(oneAMinute, callkey.Metadata("")),
			"By: callkey.Metadata was given \"\"; want a metadata key of letters, digits, '-', '_' and '.'",
		},
		{
			"bad metadata", by(oneAMinute, callkey.Metadata("a b")),
			"By: callkey.Metadata was given \"a b\"; want a metadata key of letters, digits, '-', '_' and '.'",
		},
		{"metadata", by(oneAMinute, callkey.Metadata("X-Tenant_1.bin")), ""},
		{"authority", by(oneAMinute, callkey.Metadata(":authority")), ""},
		{
			"no state", by(oneAMinute, callkey.State(hauberk.Key[string]{})),
			"By: callkey.State was given a key without a name; make keys with hauberk.NewKey",
		},
		{
			"wide network", by(oneAMinute, callkey.Network(33, 129)),
			"By: callkey.Network was given 33 and 129 bits; want 0 to 32 and 0 to 128",
		},
		{
			"negative network", by(oneAMinute, callkey.Network(-1, 0)),
			"By: callkey.Network was given -1 and 0 bits; want 0 to 32 and 0 to 128",
		},
		{"the network of all", by(oneAMinute, callkey.Network(0, 0)), ""},
		{
			"costs", by(hourly(1, ratelimit.Cost{
				Call: -1, Byte: -1, Message: 1 << 40, Messages: 3, Methods: map[string]int{"x": -2},
			}), callkey.Peer()),
			"Cost.Call is -1; want 0 to 2147483647\nCost.Message is 1099511627776; want 0 to 2147483647\n" +
				"Cost.Byte is -1; want 0 to 2147483647\nCost.Methods has \"x\"; want \"package.Service/Method\", " +
				"\"package.Service/*\", \"package.*\" or \"*\"\nCost.Methods has -2 for \"x\"; want 0 to 2147483647\n" +
				"Cost.Messages is 3; want Requests, Responses or BothMessages",
		},
		{"no function of costs", hourly(1, ratelimit.Cost{Of: ratelimit.CostFunc(nil)}), "Cost.Of: it is a nil CostFunc"},
		{
			"messages of no cost", hourly(1, ratelimit.Cost{Messages: ratelimit.Responses}),
			"Cost.Messages is set without Message or Byte",
		},
		{
			"other values",
			ratelimit.Config{Limit: 1, Per: time.Millisecond, OverLimit: 2, Headers: 4, Also: slices.Repeat([]ratelimit.Config{oneAMinute}, 16)},
			"OverLimit is 2; want End or Wait\nHeaders is 4; want NoHeaders, RateLimit, XRateLimit or AllHeaders\n" +
				"Also has 16 limits; want at most 15",
		},
		{
			"further limits",
			ratelimit.Config{Limit: 1, Per: time.Millisecond, Also: []ratelimit.Config{
				oneAMinute, {Limit: 1, Per: time.Millisecond, MaxKeys: 3}, {Limit: 0, Per: time.Millisecond},
			}},
			"Also[1] sets what holds for all limits; want Limit, Per, Burst, Algorithm, By and Cost only\n" +
				"Also[2]: Limit is 0; want at least 1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			limiter := ratelimit.New(c.config)
			wantError(t, limiter.Declare().Err, c.err)
			if chain, err := hauberk.New(limiter); (err == nil) != (c.err == "") || (chain == nil) != (err != nil) {
				t.Errorf("hauberk.New: %v, %v", chain, err)
			}
			if keys, evicted := limiter.Keys(), limiter.Evicted(); keys != 0 || evicted != 0 {
				t.Errorf("%d keys, %d evicted", keys, evicted)
			}
		})
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got the error\n%s\nwant\n%s", got, want)
	}
}

func TestNilClock(t *testing.T) {
	wantError(t, ratelimit.New(oneAMinute, ratelimit.WithClock(nil)).Declare().Err, "WithClock was given a nil function")
}

func TestZeroInterceptor(t *testing.T) {
	_, err := hauberk.New(new(ratelimit.Interceptor))
	if err == nil || !strings.Contains(err.Error(), "a zero Interceptor has no limit; make one with ratelimit.New") {
		t.Error(err)
	}
}

func TestAlgorithmString(t *testing.T) {
	for a, want := range map[ratelimit.Algorithm]string{
		ratelimit.GCRA: "GCRA", ratelimit.SlidingWindow: "SlidingWindow", ratelimit.FixedWindow: "FixedWindow",
		7: "Algorithm(7)",
	} {
		if got := a.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A limiter by state must run inside the one that writes it, and one by peer usually runs
// outside.
func TestOrder(t *testing.T) {
	tenant := callkey.Func("tenant", func(_ context.Context, call *hauberk.Call) (string, bool) {
		return userKey.Get(call)
	}, userKey)
	for name, key := range map[string]callkey.Key{"ratelimit(user)": callkey.State(userKey), "ratelimit(tenant)": tenant} {
		limiter := ratelimit.New(by(oneAMinute, key))
		if _, err := hauberk.New(login{}, limiter); err != nil {
			t.Error(err)
		}
		for _, interceptors := range [][]hauberk.Interceptor{{limiter, login{}}, {limiter}, {hauberk.Shadow(limiter), login{}}} {
			_, err := hauberk.New(interceptors...)
			if err == nil || !strings.Contains(err.Error(), name+` reads the state "user" before it is written`) {
				t.Errorf("got %v", err)
			}
		}
	}
}

func TestPhase(t *testing.T) {
	for _, c := range []struct {
		key  callkey.Key
		want hauberk.Phase
	}{
		{callkey.Key{}, hauberk.PhaseCoarseLimit},
		{callkey.Peer(), hauberk.PhaseCoarseLimit},
		{callkey.Network(24, 48), hauberk.PhaseCoarseLimit},
		{callkey.Method(), hauberk.PhaseLimit},
		{callkey.Metadata("tenant"), hauberk.PhaseLimit},
		{callkey.State(userKey), hauberk.PhaseLimit},
		{callkey.Global(), hauberk.PhaseLimit},
	} {
		if got := ratelimit.New(by(oneAMinute, c.key)).Declare().Phase; got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

// The order that the documentation shows is the usual one.
func TestUsualOrder(t *testing.T) {
	chain := chainOf(t, ratelimit.New(oneAMinute), login{}, ratelimit.New(by(oneAMinute, callkey.State(userKey))))
	if findings := chain.Lint(hauberk.ServerSide); len(findings) != 0 {
		t.Error(findings)
	}
}

// Limiters with different keys have different names in explanations and coverage, and one name in
// decisions.
func TestNames(t *testing.T) {
	for want, key := range map[string]callkey.Key{
		"ratelimit(peer)": {}, "ratelimit(network)": callkey.Network(24, 56), "ratelimit(method)": callkey.Method(),
		"ratelimit(metadata:x-key)": callkey.Metadata("X-Key"), "ratelimit(everything)": callkey.Global(),
	} {
		chain := hauberk.Must(hauberk.New(ratelimit.New(by(oneAMinute, key)), hauberk.Named("mine", ratelimit.New(by(oneAMinute, key)))))
		e, err := chain.Explain("a.B/C")
		if err != nil || e.Steps[0].Interceptor != want || e.Steps[1].Interceptor != "mine" {
			t.Errorf("Explain returned %+v, %v; want %s and mine", e, err, want)
		}
		if names := chain.Coverage(nil).Interceptors; names[0] != want || names[1] != "mine" {
			t.Errorf("the coverage has %q; want %s and mine", names, want)
		}
	}
}

// A server that has no method of a pattern of the costs does not serve: a name that is wrong would leave an expensive
// method cheap.
func TestUnmatchedCosts(t *testing.T) {
	services := map[string]grpc.ServiceInfo{"shop.v1.Search": {Methods: []grpc.MethodInfo{{Name: "Find"}}}}
	config := hourly(10, ratelimit.Cost{Methods: map[string]int{
		"*": 1, "shop.v1.Search/Find": 2, "shop.v1.Serach/*": 3, "shop.v1.Search/find": 4, "grpc.health.v1.Health/Check": 0,
	}})
	config.Also = []ratelimit.Config{hourly(10, ratelimit.Cost{Methods: map[string]int{"shop.v2.*": 5, "shop.*": 6}})}
	want := []string{
		`ratelimit.Config.Cost.Methods("shop.v1.Search/find")`, `ratelimit.Config.Cost.Methods("shop.v1.Serach/*")`,
		`ratelimit.Config.Also[0].Cost.Methods("shop.v2.*")`,
	}
	cov := hauberk.Must(hauberk.New(ratelimit.New(config))).Coverage(services)
	if !slices.Equal(cov.Unmatched, want) || cov.Err() == nil {
		t.Errorf("unmatched are %q, with the error %v; want %q", cov.Unmatched, cov.Err(), want)
	}
}
