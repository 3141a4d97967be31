package rlsserver_test

import (
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// New reports everything that is wrong.
func TestConfig(t *testing.T) {
	limit := func(change func(l *rlsserver.Limit)) rlsserver.Config { return shop(with(by("user", "x", 1), change)) }
	tests := []struct {
		name   string
		config rlsserver.Config
		want   string
	}{
		{"permits", limit(func(l *rlsserver.Limit) { l.Permits = 0 }), `the domain "shop", "user"="x": the limit is 0 permits; want 1`},
		{"many permits", limit(func(l *rlsserver.Limit) { l.Permits = math.MaxUint32 + 1 }), "want 1 to 4294967295"},
		{"period", limit(func(l *rlsserver.Limit) { l.Per = 0 }), "the period is 0s"},
		{"long period", limit(func(l *rlsserver.Limit) { l.Per = math.MaxInt64 }), "a bad combination of limit, period and burst"},
		{"rate", limit(func(l *rlsserver.Limit) { l.Permits, l.Per = 4e9, time.Millisecond }), "at most 10 a nanosecond"},
		{"algorithm", limit(func(l *rlsserver.Limit) { l.Algorithm = 9 }), "the algorithm is 9"},
		{"burst", limit(func(l *rlsserver.Limit) { l.Burst = -1 }), "the burst is -1"},
		{"burst of a window", limit(func(l *rlsserver.Limit) { l.Burst, l.Algorithm = 5, ratelimit.FixedWindow }), "which FixedWindow does not have"},
		{"mode", limit(func(l *rlsserver.Limit) { l.Mode = 9 }), "the mode is 9"},
		{"name", limit(func(l *rlsserver.Limit) { l.Name = "\xff" }), "the name \"\\xff\" is not UTF-8"},
		{"key", shop(by("", "x", 1)), "the key is empty"},
		{"UTF-8", shop(by("user", "\xff", 1)), "not UTF-8"},
		{"twice", shop(by("user", "x", 1), by("user", "x", 2)), `"user"="x": it is there twice`},
		{"nothing", shop(by("user", "x", 0)), "it has neither a limit nor descriptors"},
		{"both", shop(rlsserver.Descriptor{Key: "a", Unlimited: true, Limit: &rlsserver.Limit{Permits: 1, Per: time.Millisecond}}), "it has a limit and is unlimited"},
		{"nested", shop(by("user", "", 1, by("method", "list", 0))), `the domain "shop", "user", "method"="list": it has neither`},
		{"depth", shop(deep(33)), "deeper than 32"},
		{"an empty domain", shop(), "has no descriptors"},
		{"no name", rlsserver.Config{Domains: []rlsserver.Domain{{}}}, `Domains[0] has the name ""`},
		{"domains", rlsserver.Config{Domains: []rlsserver.Domain{{Name: "a"}, {Name: "a"}}}, `there are two domains "a"`},
		{"Unknown", rlsserver.Config{Unknown: 9}, "Unknown is 9"},
		{"OverrideAlgorithm", rlsserver.Config{OverrideAlgorithm: 9}, "OverrideAlgorithm is 9"},
		{"Headers", rlsserver.Config{Headers: 9}, "Headers is 9"},
		{"MaxKeys", rlsserver.Config{MaxKeys: -1}, "MaxKeys is -1"},
		{"Shared", rlsserver.Config{Shared: ratelimit.Shared{Timeout: -1}}, "Shared.Timeout is -1ns"},
		{"Shared without a store", rlsserver.Config{Shared: ratelimit.Shared{Nodes: 2}}, "settings have no effect without WithStore"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := rlsserver.New(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want an error with %q", err, test.want)
			}
		})
	}
	if _, err := rlsserver.New(shop(deep(32))); err != nil {
		t.Error(err)
	}
}

// deep returns keys above each other.
func deep(n int) rlsserver.Descriptor {
	d := by("user", "", 1)
	for range n - 1 {
		d = by("user", "", 0, d)
	}
	return d
}

// Nil options are errors.
func TestNilOptions(t *testing.T) {
	tests := map[string]rlsserver.Option{
		"WithClock was given a nil function": rlsserver.WithClock(nil),
		"WithStore was given a nil Store":    rlsserver.WithStore(nil),
		"WithLogger was given a nil Logger":  rlsserver.WithLogger((*slog.Logger)(nil)),
		"option 1 of New is nil":             nil,
	}
	for want, opt := range tests {
		if _, err := rlsserver.New(rlsserver.Config{}, opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
}

// A reload keeps the quotas and counts of limits that are the same, and those only.
func TestReload(t *testing.T) {
	config := shop(by("same", "", 5), by("changed", "", 5), by("gone", "", 5), by("mode", "", 5))
	config.Overrides = true
	l := newLimiter(t, config)
	for _, key := range []string{"same", "changed", "gone", "mode"} {
		l.ask(t, request(hits(of(key, "x"), 4)))
	}
	carried := request(carrying(of("a", "b"), 5, 1))
	l.ask(t, carried)

	config.Domains[0].Descriptors = []rlsserver.Descriptor{
		by("new", "", 5), with(by("mode", "", 5), func(l *rlsserver.Limit) { l.Mode = rlsserver.Shadow }),
		with(by("changed", "", 5), func(l *rlsserver.Limit) { l.Per = time.Hour }), by("same", "", 5),
	}
	if err := l.Reload(config); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"same": 1, "changed": 5, "new": 5, "gone": 1000, "mode": 1000} {
		if n := l.admits(t, request(of(key, "x"))); n != want {
			t.Errorf("%s: admitted %d after the reload; want %d", key, n, want)
		}
	}
	if n := l.admits(t, carried); n != 4 {
		t.Errorf("a limit of the request: admitted %d after the reload; want 4", n)
	}
	for _, s := range l.Snapshot().Limits {
		if s.Descriptor == `"same"` && (s.OK != 2 || s.OverLimit != 1) {
			t.Errorf("%+v; want the counts from before the reload too", s)
		}
	}
}

// A bad configuration changes nothing.
func TestReloadBad(t *testing.T) {
	l := newLimiter(t, shop(by("user", "", 5)))
	l.ask(t, request(of("user", "x")))
	if err := l.Reload(shop(by("user", "", 7), by("", "", 1))); err == nil {
		t.Error("no error")
	}
	if n := l.admits(t, request(of("user", "x"))); n != 4 {
		t.Errorf("admitted %d; want 4", n)
	}
}

// Memory is bounded: a flood of values evicts the least recently used ones.
func TestMaxKeys(t *testing.T) {
	config := shop(by("user", "", 5))
	config.MaxKeys = 100
	l := newLimiter(t, config)
	for i := range 1000 {
		l.ask(t, request(of("user", strings.Repeat("x", i))))
	}
	if s := l.Snapshot().Limits[0]; s.Keys != 100 || s.Evicted != 900 {
		t.Errorf("%+v; want 100 keys", s)
	}
}
