package concurrency_test

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
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

func TestConfig(t *testing.T) {
	none := func(context.Context, *hauberk.Call) (string, bool) { return "", false }
	adaptive := &concurrency.Adaptive{}
	for _, c := range []struct {
		name   string
		config concurrency.Config
		err    []string // parts of it, nil for none
	}{
		{"least", concurrency.Config{Limit: 1}, nil},
		{"greatest", concurrency.Config{Limit: 1 << 20, MaxWaiting: 1 << 20, MaxWait: math.MaxInt64}, nil},
		{"adaptive", concurrency.Config{Adaptive: adaptive}, nil},
		{"load", concurrency.Config{Load: &concurrency.Load{MemoryLimit: 1 << 30}}, nil},
		{"zero", concurrency.Config{}, []string{"none of Limit, Adaptive and Load is set"}},
		{"two limits", concurrency.Config{Limit: 1, Adaptive: adaptive}, []string{"Limit is 1, and Adaptive is set"}},
		{"absurd", concurrency.Config{Limit: math.MaxInt}, []string{"Limit is 9223372036854775807; want 1 to 1048576"}},
		{
			"negative",
			concurrency.Config{
				Limit: -1, MaxWaiting: -2, MaxWait: -3, Hold: -4, RetryAfter: -5, MaxKeys: -6, Streams: 7,
			},
			[]string{
				"Limit is -1", "MaxWaiting is -2", "MaxWait is -3ns", "Hold is -4ns", "RetryAfter is -5ns", "MaxKeys is -6", "Streams is 7",
			},
		},
		{
			"settings of a queue without one",
			concurrency.Config{Limit: 1, MaxWait: 1, Critical: []string{"*"}, Sheddable: []string{"a.*"}},
			[]string{"MaxWait has no effect without MaxWaiting", "Critical has no effect", "Sheddable has no effect"},
		},
		{"a share without tenants", concurrency.Config{Limit: 1, Hold: 1}, []string{"Hold has no effect without Tenant"}},
		{
			"settings of a limit without one",
			concurrency.Config{Load: &concurrency.Load{MemoryLimit: 1}, By: callkey.Method(), Streams: concurrency.ForMessages},
			[]string{"By has no effect without Limit or Adaptive", "Streams has no effect without Limit or Adaptive"},
		},
		{"load of peers", concurrency.Config{Load: &concurrency.Load{MemoryLimit: 1 << 40}, By: callkey.Peer()}, nil},
		{
			"a queue without a limit",
			concurrency.Config{Load: &concurrency.Load{MemoryLimit: 1}, MaxWaiting: 1},
			[]string{"without Limit or Adaptive"},
		},
		{
			"bad adaptive limit",
			concurrency.Config{Adaptive: &concurrency.Adaptive{Min: 9, Max: 8}},
			[]string{"Adaptive: ", "Max is 8"},
		},
		{
			"high below low",
			concurrency.Config{Load: &concurrency.Load{High: 1, Low: 2, MemoryLimit: 1}},
			[]string{"Load.Low is 2"},
		},
		{"only high", concurrency.Config{Load: &concurrency.Load{High: 1, MemoryLimit: 1}}, []string{"Load.Low is 0"}},
		{
			"no numbers",
			concurrency.Config{Load: &concurrency.Load{High: math.NaN(), Low: math.Inf(1), Every: -1}},
			[]string{"Load.High is NaN", "Load.Low is +Inf", "Load.Every is -1ns"},
		},
		{"bad pattern", concurrency.Config{Limit: 1, Critical: []string{"x"}}, []string{`Critical has "x"`}},
		{"bad patterns", concurrency.Config{Limit: 1, Sheddable: []string{"", "/"}}, []string{`Sheddable has ""`, `has "/"`}},
		{"no name", concurrency.Config{Limit: 1, By: callkey.Func("", none)}, []string{"By: callkey.Func was given an empty name"}},
		{"no function", concurrency.Config{Limit: 1, Tenant: callkey.Func("a", nil)}, []string{`Tenant: callkey.Func "a" was given a nil`}},
		{"metadata", concurrency.Config{Limit: 1, By: callkey.Metadata("a b")}, []string{`callkey.Metadata was given "a b"`}},
		{"state", concurrency.Config{Limit: 1, By: callkey.State(hauberk.Key[string]{})}, []string{"a key without a name"}},
		{"no keys", concurrency.Config{Limit: 1, By: callkey.All()}, []string{"callkey.All was given no keys"}},
		{
			"keys that cannot be combined",
			concurrency.Config{Limit: 1, By: callkey.All(callkey.Peer(), callkey.Global(), callkey.Key{})},
			[]string{"given everything as key 2", "given a zero Key as key 3"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := concurrency.New(c.config)
			_, err := hauberk.New(x)
			if (err == nil) != (c.err == nil) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			for _, part := range c.err {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want %q in it", err, part)
				}
			}
			_, _ = x.Snapshot(), x.Limits() // do not panic
		})
	}
}

func TestOptions(t *testing.T) {
	config := concurrency.Config{Limit: 1}
	for name, x := range map[string]*concurrency.Interceptor{
		"WithClock was given a nil":    concurrency.New(config, concurrency.WithClock(nil)),
		"WithPriority was given a nil": concurrency.New(config, concurrency.WithPriority(nil)),
		"WithProbe was given a nil":    concurrency.New(config, concurrency.WithProbe(nil)),
		"WithProbe has no effect":      concurrency.New(config, concurrency.WithProbe(func() float64 { return 0 })),
		"option 1 of New is nil":       concurrency.New(config, nil),
		"a zero Interceptor":           new(concurrency.Interceptor),
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
		_, _ = x.Snapshot(), x.Limits()
	}
}

// The usual order has a gate outside of authentication and limits by tenant inside; New checks the state.
func TestOrder(t *testing.T) {
	gate := concurrency.New(concurrency.Config{Load: &concurrency.Load{MemoryLimit: 1 << 40}})
	limit := concurrency.New(concurrency.Config{Limit: 1, Tenant: callkey.Tenant(), By: callkey.Method()})
	if findings := chainOf(t, gate, login{}, limit).Lint(hauberk.ServerSide); len(findings) != 0 {
		t.Error(findings)
	}
	if findings := chainOf(t, login{}, gate).Lint(hauberk.ServerSide); len(findings) != 1 {
		t.Error(findings)
	}
	if _, err := hauberk.New(limit, login{}); err == nil || !strings.Contains(err.Error(), "before it is written") {
		t.Errorf("error %v", err)
	}
	e, err := chainOf(t, gate, login{}, limit).Explain("a.B/C")
	if err != nil || e.Steps[0].Interceptor != "concurrency(load)" || e.Steps[2].Interceptor != "concurrency(method)" {
		t.Errorf("%+v, %v", e, err)
	}
}

// A clock that is set back or stops neither blocks nor grows anything.
func TestClock(t *testing.T) {
	clock := hauberktest.NewClock()
	x := concurrency.New(concurrency.Config{
		Adaptive: &concurrency.Adaptive{}, Tenant: callkey.Metadata("k"), MaxWaiting: 1,
	}, concurrency.WithClock(clock.Now))
	call := serve(t, nil, x)
	for i := range 1000 {
		if err := call(with(t.Context(), "k", string(rune('a'+i%20)))); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			clock.Advance(-time.Hour)
		}
	}
	if s := x.Snapshot(); s.Running != 0 {
		t.Errorf("%+v", s)
	}
}

// A server that has no method of a pattern does not serve.
func TestUnmatchedPriorities(t *testing.T) {
	services := map[string]grpc.ServiceInfo{"shop.v1.Search": {Methods: []grpc.MethodInfo{{Name: "Find"}}}}
	limiter := concurrency.New(concurrency.Config{
		Limit: 1, MaxWaiting: 1, Critical: []string{"shop.v1.Search/Find", "shop.v1.Search/find"}, Sheddable: []string{"shop.v2.*", "*"},
	})
	want := []string{`concurrency.Config.Critical("shop.v1.Search/find")`, `concurrency.Config.Sheddable("shop.v2.*")`}
	cov := hauberk.Must(hauberk.New(limiter)).Coverage(services)
	if !slices.Equal(cov.Unmatched, want) || cov.Err() == nil {
		t.Errorf("unmatched are %q, with the error %v; want %q", cov.Unmatched, cov.Err(), want)
	}
}
