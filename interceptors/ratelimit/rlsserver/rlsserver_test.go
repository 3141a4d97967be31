package rlsserver_test

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// The limit is the most specific one, level by level, without a way back.
func TestMatch(t *testing.T) {
	config := shop(
		by("user", "", 3,
			by("method", "", 5, by("region", "eu", 9)),
			by("method", "search", 2)),
		by("user", "batch", 1),
		by("user", "root", 0, by("method", "", 7)),
		rlsserver.Descriptor{Key: "user", Value: "free", Unlimited: true},
		by("host", "a", 4),
	)
	tests := []struct {
		name  string
		pairs []string
		want  int
	}{
		{"a key without a value", []string{"user", "alice"}, 3},
		{"an empty value", []string{"user", ""}, 3},
		{"a value", []string{"user", "batch"}, 1},
		{"the second level", []string{"user", "alice", "method", "list"}, 5},
		{"the second level, a value", []string{"user", "alice", "method", "search"}, 2},
		{"the third level", []string{"user", "alice", "method", "list", "region", "eu"}, 9},
		{"no limit at the last level", []string{"user", "alice", "method", "list", "region", "us"}, 1000},
		{"no way back from a value", []string{"user", "batch", "method", "list"}, 1000},
		{"a node without a limit", []string{"user", "root"}, 1000},
		{"below a node without a limit", []string{"user", "root", "method", "list"}, 7},
		{"unlimited", []string{"user", "free"}, 1000},
		{"a key that is not there", []string{"method", "list"}, 1000},
		{"a value that is not there", []string{"host", "b"}, 1000},
		{"another order", []string{"method", "list", "user", "alice"}, 1000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if n := newLimiter(t, config).admits(t, request(of(test.pairs...))); n != test.want {
				t.Errorf("admitted %d; want %d", n, test.want)
			}
		})
	}
}

// Values have separate quotas with any characters, and so do domains.
func TestQuotas(t *testing.T) {
	config := shop(by("a", "", 1, by("b", "", 1)))
	config.Domains = append(config.Domains, rlsserver.Domain{Name: "other", Descriptors: config.Domains[0].Descriptors})
	l := newLimiter(t, config)
	for _, pairs := range [][]string{
		{"a", "x"}, {"a", "y"}, {"a", "1:x"}, {"a", ""}, {"a", "x", "b", "y"}, {"a", "x1:y", "b", ""}, {"a", "", "b", "x1:y"},
	} {
		for _, domain := range []string{"shop", "other"} {
			req := request(of(pairs...))
			req.Domain = domain
			if n := l.admits(t, req); n != 1 {
				t.Errorf("%s %q: admitted %d; want 1", domain, pairs, n)
			}
		}
	}
}

// The status has the limit, what remains, and the time until it is whole or until a retry.
func TestStatus(t *testing.T) {
	tests := []struct {
		algorithm         ratelimit.Algorithm
		reset, retryAfter time.Duration
	}{
		{ratelimit.GCRA, time.Minute, 30 * time.Second},
		{ratelimit.SlidingWindow, 2 * time.Minute, 2 * time.Minute},
		{ratelimit.FixedWindow, 2 * time.Minute, 2 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.algorithm.String(), func(t *testing.T) {
			l := newLimiter(t, shop(with(by("user", "", 4), func(l *rlsserver.Limit) {
				l.Algorithm, l.Per, l.Name = test.algorithm, 2*time.Minute, "users"
			})))
			l.Advance(2*time.Minute - time.Duration(l.Now().UnixNano())%(2*time.Minute))
			req := request(hits(of("user", "alice"), 2))
			s := l.ask(t, req).GetStatuses()[0]
			limit := s.GetCurrentLimit()
			if limit.GetName() != "users" || limit.GetRequestsPerUnit() != 4 || limit.GetUnitMultiplier().GetValue() != 2 ||
				limit.GetUnit() != rlsv3.RateLimitResponse_RateLimit_MINUTE {
				t.Errorf("current_limit is %v", limit)
			}
			if s.GetCode() != ok || s.GetLimitRemaining() != 2 || s.GetDurationUntilReset().AsDuration() != test.reset {
				t.Errorf("within the limit: %v", s)
			}
			l.ask(t, req)
			s = l.ask(t, request(of("user", "alice"))).GetStatuses()[0]
			if s.GetCode() != over || s.GetLimitRemaining() != 0 || s.GetDurationUntilReset().AsDuration() != test.retryAfter {
				t.Errorf("over the limit: %v; want duration_until_reset %v", s, test.retryAfter)
			}
			l.Advance(test.retryAfter)
			if s = l.ask(t, request(of("user", "alice"))).GetStatuses()[0]; s.GetCode() != ok {
				t.Errorf("after the time to retry: %v", s)
			}
		})
	}
}

// The unit of a period without whole seconds is UNKNOWN; unlimited and unknown descriptors have no
// limit in their status.
func TestStatusWithoutLimit(t *testing.T) {
	l := newLimiter(t, shop(
		with(by("a", "", 1), func(l *rlsserver.Limit) { l.Per = 1500 * time.Millisecond }),
		rlsserver.Descriptor{Key: "free", Unlimited: true},
		with(by("off", "", 1), func(l *rlsserver.Limit) { l.Mode = rlsserver.Off }),
	))
	s := l.ask(t, request(of("a", ""), of("free", ""), of("off", ""), of("new", ""))).GetStatuses()
	if l := s[0].GetCurrentLimit(); l.GetUnit() != rlsv3.RateLimitResponse_RateLimit_UNKNOWN || l.GetRequestsPerUnit() != 1 {
		t.Errorf("1.5 s: %v", s[0])
	}
	for i, remaining := range []uint32{math.MaxUint32, math.MaxUint32, 0} {
		if s := s[i+1]; s.GetCode() != ok || s.GetCurrentLimit() != nil || s.GetLimitRemaining() != remaining {
			t.Errorf("status %d: %v", i+1, s)
		}
	}
}

// A request takes hits of all limits or of none, also if two descriptors share a quota.
func TestAllOrNothing(t *testing.T) {
	l := newLimiter(t, shop(by("user", "", 10), by("method", "", 3)))
	both := request(of("user", "alice"), of("method", "list"))
	if n := l.admits(t, both); n != 3 {
		t.Fatalf("admitted %d; want 3", n)
	}
	l.admits(t, both)
	if s := l.ask(t, both).GetStatuses(); s[0].GetCode() != ok || s[1].GetCode() != over {
		t.Errorf("statuses %v; want OK and OVER_LIMIT", s)
	}
	if n := l.admits(t, request(of("user", "alice"))); n != 7 {
		t.Errorf("of the user's limit remain %d; want 7", n)
	}
	twice := request(hits(of("method", "get"), 2), hits(of("method", "get"), 2))
	if resp := l.ask(t, twice); resp.GetOverallCode() != over {
		t.Errorf("4 hits of 3 in two descriptors: %v", resp)
	}
	if n := l.admits(t, request(of("method", "get"))); n != 3 {
		t.Errorf("of the method's limit remain %d; want 3", n)
	}
}

// Hits are those of the descriptor, or else of the request, or 1; 0 asks, negative ones are given back.
func TestHits(t *testing.T) {
	l := newLimiter(t, shop(by("user", "", 10)))
	alice := func() *ratelimitv3.RateLimitDescriptor { return of("user", "alice") }
	left := func(req *rlsv3.RateLimitRequest, want uint32) {
		t.Helper()
		if s := l.ask(t, req).GetStatuses()[0]; s.GetLimitRemaining() != want {
			t.Errorf("%v: %v; want %d remaining", req, s, want)
		}
	}
	left(request(alice()), 9)
	left(&rlsv3.RateLimitRequest{Domain: "shop", HitsAddend: 3, Descriptors: []*ratelimitv3.RateLimitDescriptor{alice()}}, 6)
	left(&rlsv3.RateLimitRequest{Domain: "shop", HitsAddend: 3, Descriptors: []*ratelimitv3.RateLimitDescriptor{hits(alice(), 2)}}, 4)
	left(request(hits(alice(), 0)), 4)
	left(request(hits(alice(), -3)), 7)
	left(request(hits(alice(), -math.MaxInt32)), 10)
	if s := l.ask(t, request(hits(alice(), 11))).GetStatuses()[0]; s.GetCode() != over || s.GetLimitRemaining() != 10 {
		t.Errorf("11 of 10: %v", s)
	}
}

// A rejected request gives nothing back.
func TestRefundOfRejected(t *testing.T) {
	l := newLimiter(t, shop(by("user", "", 10), by("method", "", 1)))
	l.ask(t, request(hits(of("user", "alice"), 4), of("method", "list")))
	l.ask(t, request(hits(of("user", "alice"), -2), of("method", "list")))
	if s := l.ask(t, request(hits(of("user", "alice"), 0))).GetStatuses()[0]; s.GetLimitRemaining() != 6 {
		t.Errorf("%v; want 6 remaining", s)
	}
}

// With ChargeRejected a request over the limit counts, up to one burst of debt.
func TestChargeRejected(t *testing.T) {
	l := newLimiter(t, shop(with(by("user", "", 10), func(l *rlsserver.Limit) { l.ChargeRejected = true })))
	alice := func(n int) *rlsv3.RateLimitRequest { return request(hits(of("user", "alice"), n)) }
	if l.ask(t, alice(15)).GetOverallCode() != over {
		t.Fatal("15 of 10 are OK")
	}
	if s := l.ask(t, alice(1)).GetStatuses()[0]; s.GetCode() != over || s.GetDurationUntilReset().AsDuration() != 36*time.Second {
		t.Errorf("in debt: %v; want a retry after 6 s × 6", s)
	}
	for range 20 {
		l.ask(t, alice(10))
	}
	l.Advance(time.Minute)
	if s := l.ask(t, alice(0)).GetStatuses()[0]; s.GetLimitRemaining() != 0 {
		t.Errorf("after a minute: %v", s)
	}
	l.Advance(time.Minute)
	if n := l.admits(t, alice(1)); n != 10 {
		t.Errorf("after two minutes: %d; want 10", n)
	}
}

// A limit in shadow mode is counted and rejects nothing; it does not count what others reject.
func TestShadow(t *testing.T) {
	l := newLimiter(t, shop(
		with(by("user", "", 2), func(l *rlsserver.Limit) { l.Mode = rlsserver.Shadow }),
		by("method", "", 5),
	))
	if n := l.admits(t, request(of("user", "alice"), of("method", "list"))); n != 5 {
		t.Errorf("admitted %d; want 5", n)
	}
	limits := l.Snapshot().Limits
	if u := limits[0]; u.OK != 2 || u.ShadowOverLimit != 4 || u.OverLimit != 0 {
		t.Errorf("the limit in shadow mode: %+v", u)
	}
	if m := limits[1]; m.OK != 5 || m.OverLimit != 1 || m.Descriptor != `"method"` || m.Domain != "shop" || m.Keys != 1 {
		t.Errorf("the enforced limit: %+v", m)
	}
}

// Requests carry limits if the configuration obeys them.
func TestOverrides(t *testing.T) {
	config := shop(by("user", "", 3))
	second := func(pairs ...string) *rlsv3.RateLimitRequest {
		return request(carrying(of(pairs...), 5, typev3.RateLimitUnit_SECOND))
	}
	if n := newLimiter(t, config).admits(t, second("user", "alice")); n != 3 {
		t.Errorf("ignored: admitted %d; want 3", n)
	}
	config.Overrides = true
	config.OverrideAlgorithm = ratelimit.SlidingWindow
	l := newLimiter(t, config)
	for _, pairs := range [][]string{{"user", "alice"}, {"user", "bob"}, {"new", "x"}, {"ne", "wx"}, {"user", "alice", "x", ""}} {
		if n := l.admits(t, second(pairs...)); n != 5 {
			t.Errorf("%q: admitted %d; want 5", pairs, n)
		}
	}
	if n := l.admits(t, request(of("user", "alice"))); n != 3 {
		t.Errorf("without a limit of the request: admitted %d; want 3", n)
	}
	l.Advance(time.Second)
	if n := l.admits(t, second("user", "alice")); n != 5 {
		t.Errorf("a second later: admitted %d; want 5", n)
	}
	blocked := request(of("user", "carol"), carrying(of("user", "x"), 0, typev3.RateLimitUnit_DAY))
	if resp := l.ask(t, blocked); resp.GetOverallCode() != over || resp.GetStatuses()[1].GetCode() != over {
		t.Errorf("a limit of 0: %v", resp)
	}
	if n := l.admits(t, request(of("user", "carol"))); n != 3 {
		t.Errorf("after a rejected request: admitted %d; want 3", n)
	}
	unknown := second("user", "alice")
	unknown.Domain = "new"
	if n := l.admits(t, unknown); n != 1000 {
		t.Errorf("an unknown domain: admitted %d; want all", n)
	}
}

// Requests may carry a bounded number of different limits.
func TestManyOverrides(t *testing.T) {
	l := newLimiter(t, rlsserver.Config{Domains: []rlsserver.Domain{{Name: "shop"}}, Overrides: true})
	for n := range uint32(256) {
		l.ask(t, request(carrying(of("a", "b"), n+1, typev3.RateLimitUnit_MONTH)))
	}
	_, err := l.ShouldRateLimit(t.Context(), request(carrying(of("a", "b"), 1000, typev3.RateLimitUnit_YEAR)))
	wantCode(t, err, codes.ResourceExhausted)
	l.ask(t, request(carrying(of("a", "b"), 7, typev3.RateLimitUnit_MONTH)))
	if n := len(l.Snapshot().Limits); n != 256 {
		t.Errorf("%d limits; want 256", n)
	}
}

// Unknown domains and descriptors are errors if the configuration says so.
func TestUnknown(t *testing.T) {
	config := shop(by("user", "", 3))
	config.Unknown = rlsserver.FailUnknown
	l := newLimiter(t, config)
	l.ask(t, request(of("user", "alice")))
	_, err := l.ShouldRateLimit(t.Context(), request(of("user", "alice"), of("new", "x")))
	wantCode(t, err, codes.NotFound)
	_, err = l.ShouldRateLimit(t.Context(), &rlsv3.RateLimitRequest{Domain: "new", Descriptors: request(of("user", "alice")).GetDescriptors()})
	wantCode(t, err, codes.NotFound)
	if s := l.ask(t, request(hits(of("user", "alice"), 0))).GetStatuses()[0]; s.GetLimitRemaining() != 2 {
		t.Errorf("failed requests took hits: %v", s)
	}
	if s := l.Snapshot(); s.Unknown != 2 || s.Failed != 2 {
		t.Errorf("%+v; want 2 unknown, 2 failed", s)
	}
}

// Malformed requests end with INVALID_ARGUMENT, and take nothing.
func TestMalformed(t *testing.T) {
	many := request()
	for range 65 {
		many.Descriptors = append(many.Descriptors, of("user", "alice"))
	}
	overridden := func(permits uint32, unit typev3.RateLimitUnit, multiplier uint32) *rlsv3.RateLimitRequest {
		d := carrying(of("user", "alice"), permits, unit)
		d.Limit.UnitMultiplier = wrapperspb.UInt32(multiplier)
		return request(d)
	}
	tests := map[string]*rlsv3.RateLimitRequest{
		"nil":                        nil,
		"no domain":                  {Descriptors: request(of("user", "alice")).GetDescriptors()},
		"no descriptors":             request(),
		"a nil descriptor":           request(of("user", "alice"), nil),
		"no entries":                 request(of("user", "alice"), of()),
		"no key":                     request(of("user", "alice", "", "x")),
		"a nil entry":                request(&ratelimitv3.RateLimitDescriptor{Entries: make([]*ratelimitv3.RateLimitDescriptor_Entry, 1)}),
		"too many entries":           request(of(strings.Split(strings.Repeat("user,alice,", 33), ",")[:66]...)),
		"too many descriptors":       many,
		"too many hits":              {Domain: "shop", HitsAddend: math.MaxUint32, Descriptors: request(of("user", "alice")).GetDescriptors()},
		"too many of the descriptor": request(hits(of("user", "alice"), math.MaxInt)),
		"no unit":                    overridden(1, typev3.RateLimitUnit_UNKNOWN, 1),
		"an unknown unit":            overridden(1, 99, 1),
		"no multiplier":              overridden(1, typev3.RateLimitUnit_SECOND, 0),
		"too high a multiplier":      overridden(1, typev3.RateLimitUnit_YEAR, 74),
	}
	config := shop(by("user", "", 3))
	config.Overrides = true
	l := newLimiter(t, config)
	for name, req := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := l.ShouldRateLimit(t.Context(), req)
			wantCode(t, err, codes.InvalidArgument)
		})
	}
	if n := l.admits(t, request(of("user", "alice"))); n != 3 {
		t.Errorf("admitted %d; want 3", n)
	}
	if n := l.Snapshot().Malformed; n != uint64(len(tests)) {
		t.Errorf("counted %d malformed requests; want %d", n, len(tests))
	}
}

// Headers are those of the limit that matters most.
func TestHeaders(t *testing.T) {
	config := shop(by("user", "", 10), with(by("method", "", 4), func(l *rlsserver.Limit) { l.Name = "methods" }))
	config.Headers = ratelimit.AllHeaders
	l := newLimiter(t, config)
	got := make(map[string]string)
	for _, h := range l.ask(t, request(of("user", "alice"), of("method", "list"), of("new", "x"))).GetResponseHeadersToAdd() {
		got[h.GetKey()] = h.GetValue()
	}
	want := map[string]string{
		"ratelimit-policy":      `"_user_";q=10;w=60, "methods";q=4;w=60`,
		"ratelimit":             `"methods";r=3;t=15`,
		"x-ratelimit-limit":     "4, 4;w=60",
		"x-ratelimit-remaining": "3",
		"x-ratelimit-reset":     "15",
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q; want %q", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("headers %v", got)
	}
	if h := l.ask(t, request(of("new", "x"))).GetResponseHeadersToAdd(); h != nil {
		t.Errorf("without a limit: %v", h)
	}
}

// Concurrent requests for several descriptors take exactly the permits of the limits.
func TestConcurrent(t *testing.T) {
	for _, algorithm := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		t.Run(algorithm.String(), func(t *testing.T) {
			l := newLimiter(t, shop(
				with(by("user", "", 100), func(l *rlsserver.Limit) { l.Algorithm = algorithm }),
				with(by("method", "", 150), func(l *rlsserver.Limit) { l.Algorithm = algorithm }),
			))
			var admitted atomic.Int64
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for _, user := range strings.Split(strings.Repeat("a b ", 50), " ")[:100] {
						resp, err := l.ShouldRateLimit(context.Background(), request(of("user", user), of("method", "list")))
						if err == nil && resp.GetOverallCode() == ok {
							admitted.Add(1)
						}
					}
				})
			}
			all.Wait()
			if admitted.Load() != 150 {
				t.Errorf("admitted %d; want 150", admitted.Load())
			}
			left := l.admits(t, request(of("user", "a"))) + l.admits(t, request(of("user", "b")))
			if left != 50 {
				t.Errorf("the users have %d left; want 50", left)
			}
		})
	}
}
