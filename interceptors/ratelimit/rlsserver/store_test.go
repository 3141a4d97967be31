package rlsserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// bank is a store that counts without time. fail makes it fail.
type bank struct {
	mu    sync.Mutex
	taken map[quotaOf]int
	fail  error
	asked int

	beforeCharge func(ctx context.Context)
}

// quotaOf names a quota of a store.
type quotaOf struct {
	limit ratelimit.Limit
	key   string
}

func (b *bank) Open(limits []ratelimit.Limit) (ratelimit.Quotas, error) {
	seen := make(map[ratelimit.Limit]bool)
	for _, l := range limits {
		if seen[l] || !l.Joint || l.ID == "" {
			return nil, fmt.Errorf("the limit %+v is there twice, or has no identity", l)
		}
		seen[l] = true
	}
	return &account{b, limits}, nil
}

type account struct {
	*bank
	limits []ratelimit.Limit
}

func (a *account) Take(_ context.Context, timeout time.Duration, demands []ratelimit.Demand, decisions []ratelimit.Decision) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.fail != nil || timeout != ratelimit.DefaultTimeout {
		return a.fail
	}
	ok := true
	for i, d := range demands {
		l := a.limits[d.Limit]
		left := l.Permits - a.taken[quotaOf{l, string(d.Key)}]
		decisions[i] = ratelimit.Decision{OK: d.Permits <= left, Remaining: left}
		if ok = ok && decisions[i].OK; !decisions[i].OK {
			decisions[i].RetryAfter = time.Minute
		}
	}
	for i, d := range demands {
		if ok {
			a.taken[quotaOf{a.limits[d.Limit], string(d.Key)}] += d.Permits
			decisions[i].Remaining -= d.Permits
		}
	}
	return nil
}

func (a *account) Charge(ctx context.Context, _ time.Duration, demands []ratelimit.Demand) error {
	if a.beforeCharge != nil {
		a.beforeCharge(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.fail != nil {
		return a.fail
	}
	for _, d := range demands {
		a.taken[quotaOf{a.limits[d.Limit], string(d.Key)}] += d.Permits
	}
	return nil
}

func stored(t *testing.T, b *bank, config rlsserver.Config) *limiter {
	t.Helper()
	b.taken = make(map[quotaOf]int)
	return newLimiter(t, config, rlsserver.WithStore(b), rlsserver.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
}

// With a store all servers share the quotas, those of limits in requests too, across reloads.
func TestStore(t *testing.T) {
	config := shop(by("user", "", 10), by("method", "", 3), with(by("shadow", "", 1), func(l *rlsserver.Limit) { l.Mode = rlsserver.Shadow }))
	config.Overrides = true
	b := &bank{taken: make(map[quotaOf]int)}
	one := stored(t, b, config)
	other := newLimiter(t, config, rlsserver.WithStore(b))
	both := request(of("user", "alice"), of("method", "list"), of("shadow", "x"))
	if n := one.admits(t, both); n != 3 {
		t.Errorf("admitted %d; want 3", n)
	}
	carried := request(carrying(of("user", "alice"), 4, typev3.RateLimitUnit_HOUR), of("user", "bob"))
	if n := one.admits(t, carried); n != 4 {
		t.Errorf("a limit of the request: admitted %d; want 4", n)
	}
	if err := other.Reload(config); err != nil {
		t.Fatal(err)
	}
	if resp := other.ask(t, carried); resp.GetOverallCode() != over || resp.GetStatuses()[1].GetLimitRemaining() != 6 {
		t.Errorf("the other server: %v", resp)
	}
	if s := other.ask(t, request(hits(of("user", "alice"), -2))).GetStatuses()[0]; s.GetLimitRemaining() != 9 {
		t.Errorf("after 2 of 3 were given back: %v", s)
	}
	if resp := one.ask(t, request(of("user", "alice"), carrying(of("a", "b"), 0, 1))); resp.GetOverallCode() != over {
		t.Errorf("a limit of 0: %v", resp)
	}
	if n := other.admits(t, request(of("user", "alice"))); n != 9 {
		t.Errorf("admitted %d; want 9", n)
	}
}

// With ChargeRejected the store is charged for requests that are over the limit.
func TestStoreChargeRejected(t *testing.T) {
	b := &bank{}
	l := stored(t, b, shop(with(by("user", "", 10), func(l *rlsserver.Limit) { l.ChargeRejected = true })))
	l.ask(t, request(hits(of("user", "alice"), 12)))
	for of, n := range b.taken {
		if n != 12 || of.limit.ID != `"shop" "user"` || of.limit.Name != `"user"` || of.key != "5:alice" {
			t.Errorf("taken %d of %+v; want 12 of alice's", n, of)
		}
	}
}

// While the store fails, requests are decided as the mode says; after three failures the store
// is left alone for a time.
func TestFailureModes(t *testing.T) {
	for _, test := range []struct {
		mode ratelimit.FailureMode
		want int
	}{{ratelimit.FailLocal, 5}, {ratelimit.FailOpen, 1000}, {ratelimit.FailClosed, 0}} {
		t.Run(test.mode.String(), func(t *testing.T) {
			config := shop(by("user", "", 10))
			config.Shared = ratelimit.Shared{Fail: test.mode, Nodes: 2}
			b := &bank{fail: errors.New("down")}
			l := stored(t, b, config)
			n := 0
			for range 1000 {
				resp, err := l.ShouldRateLimit(t.Context(), request(of("user", "alice")))
				if test.mode == ratelimit.FailClosed {
					wantCode(t, err, codes.Unavailable)
				} else if err != nil {
					t.Fatal(err)
				}
				if resp.GetOverallCode() == ok {
					n++
				}
			}
			if n != test.want || b.asked != 3 {
				t.Errorf("admitted %d, asked %d times; want %d and 3", n, b.asked, test.want)
			}
			if s := l.Snapshot(); s.StoreFailures != 3 || !s.StoreFailing {
				t.Errorf("%+v; want 3 failures", s)
			}
			b.fail = nil
			l.Advance(ratelimit.DefaultRetryStore)
			if n := l.admits(t, request(of("user", "alice"))); n != 10 || l.Snapshot().StoreFailing {
				t.Errorf("admitted %d after the store answers again; want 10", n)
			}
		})
	}
}

// While the store fails, a request for more than the part of this server waits until the store is asked again.
func TestHitsAboveThePart(t *testing.T) {
	config := shop(by("user", "", 10))
	config.Shared = ratelimit.Shared{Nodes: 2}
	l := stored(t, &bank{fail: errors.New("down")}, config)
	for n, want := range map[int]time.Duration{6: ratelimit.DefaultRetryStore, 10: ratelimit.DefaultRetryStore, 11: 0} {
		resp := l.ask(t, request(hits(of("user", "alice"), n)))
		s := resp.GetStatuses()[0]
		if resp.GetOverallCode() != over || s.GetDurationUntilReset().AsDuration() != want {
			t.Errorf("%d hits: %v; want %v until a retry", n, resp, want)
		}
	}
}

// Counters do not decrease at a reload, also if that replaces the circuit of the store.
func TestCountersAcrossReloads(t *testing.T) {
	config := shop(by("user", "", 10))
	b := &bank{fail: errors.New("down")}
	l := stored(t, b, config)
	for range 5 {
		l.ask(t, request(of("user", "alice"), of("other", "x")))
	}
	_, _ = l.ShouldRateLimit(t.Context(), request())
	before := l.Snapshot()
	config.Shared.RetryStore = time.Second
	config.Domains[0].Descriptors = append(config.Domains[0].Descriptors, by("method", "", 5))
	if err := l.Reload(config); err != nil {
		t.Fatal(err)
	}
	l.ask(t, request(of("user", "alice")))
	after := l.Snapshot()
	if before.StoreFailures != 3 || after.StoreFailures != 4 || after.Unknown != 5 || after.Malformed != 1 ||
		after.Limits[0].OK != before.Limits[0].OK+1 {
		t.Errorf("%+v, and before %+v", after, before)
	}
}

// A request that has ended does not count as a failure of the store.
func TestStoreEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &bank{fail: context.Canceled}
	l := stored(t, b, shop(by("user", "", 10)))
	_, err := l.ShouldRateLimit(ctx, request(of("user", "alice")))
	wantCode(t, err, codes.Canceled)
	if s := l.Snapshot(); s.StoreFailures != 0 {
		t.Errorf("%+v; want no failures", s)
	}
}

// A store that cannot enforce the limits is an error of New.
func TestStoreRejects(t *testing.T) {
	if _, err := rlsserver.New(shop(by("user", "", 1)), rlsserver.WithStore(picky{})); err == nil {
		t.Error("no error")
	}
}

type picky struct{}

func (picky) Open([]ratelimit.Limit) (ratelimit.Quotas, error) { return nil, errors.New("not these") }

// A store that does not answer fails, although all requests end before Shared.Timeout.
func TestStoreSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s, err := rlsserver.New(shop(by("user", "", 1000)), rlsserver.WithStore(silent{}),
			rlsserver.WithClock(func() time.Time { return start.Add(time.Since(start)) }),
			rlsserver.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), ratelimit.DefaultTimeout*3/4)
			if _, err := s.ShouldRateLimit(ctx, request(of("user", "alice"))); err != nil {
				failed++
			}
			cancel()
		}
		if c := s.Snapshot(); failed > 10 || c.StoreFailures != 3 || !c.StoreFailing {
			t.Errorf("%d of 1000 requests failed: %+v", failed, c)
		}
	})
}

// silent is a store that does not answer.
type silent struct{}

func (silent) Open([]ratelimit.Limit) (ratelimit.Quotas, error) { return silent{}, nil }

func (silent) Take(ctx context.Context, timeout time.Duration, _ []ratelimit.Demand, _ []ratelimit.Decision) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(timeout):
		return errors.New("no answer")
	}
}

func (s silent) Charge(ctx context.Context, timeout time.Duration, _ []ratelimit.Demand) error {
	return s.Take(ctx, timeout, nil, nil)
}

// What a request used counts although its caller has left: hits of ChargeRejected, and those that are given back.
func TestStoreChargesWithoutCaller(t *testing.T) {
	b := &bank{}
	l := stored(t, b, shop(with(by("user", "", 10), func(l *rlsserver.Limit) { l.ChargeRejected = true })))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.beforeCharge = func(own context.Context) {
		cancel()
		if own.Err() != nil {
			t.Error("the charge is cancelled with its request")
		}
	}
	_, _ = l.ShouldRateLimit(ctx, request(hits(of("user", "alice"), 12)))
	for _, n := range b.taken {
		if n != 12 {
			t.Errorf("taken %d; want 12", n)
		}
	}
}
