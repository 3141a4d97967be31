package ratelimitredis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// servers are the servers that tests of the script run on.
func servers(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("miniredis", func(t *testing.T) { test(t, miniredis.RunT(t).Addr()) })
	t.Run("redis", func(t *testing.T) { test(t, redistest.Start(t).Addr) })
	t.Run("valkey", func(t *testing.T) {
		test(t, redistest.Start(t, redistest.Program(redistest.Valkey(t, "../../.."))).Addr)
	})
}

// Each algorithm admits a whole quota, rejects with the time until the next permit, and rejects for
// ever what can never be met.
func TestQuota(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		for _, a := range algorithms {
			q, store := open(t, at(addr), limitOf(a, 5, time.Hour))
			for i := range 5 {
				if d := take(t, q, demand("alice", 1)); !d.OK || d.Remaining != 4-i || d.RetryAfter != 0 || d.ResetAfter <= 0 {
					t.Errorf("%s: call %d: %+v", a, i, d)
				}
			}
			trips := store.RoundTrips()
			longest := map[ratelimit.Algorithm]time.Duration{
				ratelimit.GCRA: time.Hour / 5, ratelimit.SlidingWindow: time.Hour, ratelimit.FixedWindow: time.Hour,
			}[a]
			d := take(t, q, demand("alice", 1))
			if d.OK || d.Remaining != 0 || d.RetryAfter <= 0 || d.RetryAfter > longest || d.ResetAfter > time.Hour {
				t.Errorf("%s: over the limit: %+v", a, d)
			}
			if d := take(t, q, demand("alice", 6)); d.OK || d.RetryAfter != ratelimit.Never {
				t.Errorf("%s: above the burst: %+v", a, d)
			}
			if n := store.RoundTrips() - trips; n > 1 {
				t.Errorf("%s: %d round trips to reject", a, n)
			}
			if d := take(t, q, demand("bob", 5)); !d.OK || d.Remaining != 0 {
				t.Errorf("%s: another key: %+v", a, d)
			}
			if d := take(t, q, demand("carol", 0)); !d.OK || d.Remaining != 5 || d.ResetAfter != 0 {
				t.Errorf("%s: the state: %+v", a, d)
			}
		}
	})
}

// Two stores with one name share quotas. Other names, numbers, places and kinds do not.
func TestSharing(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		l := limitOf(ratelimit.GCRA, 3, time.Hour)
		first, _ := open(t, at(addr), l)
		take(t, first, demand("alice", 3))
		second, _ := open(t, at(addr), l)
		if d := take(t, second, demand("alice", 1)); d.OK {
			t.Error("two stores do not share the quota")
		}
		if d := take(t, second, ratelimit.Demand{Key: []byte("alice"), Permits: 1, Peer: true}); !d.OK {
			t.Error("a peer shares the quota of a key")
		}
		other := at(addr)
		other.Name = "other"
		third, _ := open(t, other, l)
		if d := take(t, third, demand("alice", 1)); !d.OK {
			t.Error("another name shares the quota")
		}
		l.Name = "tenant"
		fourth, _ := open(t, at(addr), l)
		if d := take(t, fourth, demand("alice", 1)); !d.OK {
			t.Error("another limit shares the quota")
		}
	})
}

// All demands of a call are met, or none takes a permit.
func TestAllOrNothing(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		for _, a := range algorithms {
			for _, permits := range []int{10, 1000} { // without leases, and with
				few, many := limitOf(a, 2, time.Hour), limitOf(a, permits, time.Hour)
				config := at(addr)
				config.Name = fmt.Sprint(a, permits)
				q, _ := open(t, config, few, many)
				both := func(key string) []ratelimit.Demand {
					return []ratelimit.Demand{demand(key, 1), {Limit: 1, Key: []byte("all"), Permits: 1}}
				}
				for range 2 {
					if d := takeAll(t, q, both("alice")...); !d[0].OK || !d[1].OK {
						t.Errorf("%s: %+v", a, d)
					}
				}
				for range 5 {
					if d := takeAll(t, q, both("alice")...); d[0].OK || !d[1].OK || d[0].RetryAfter == 0 || d[1].RetryAfter != 0 {
						t.Errorf("%s: over one limit: %+v", a, d)
					}
				}
				fresh, _ := open(t, config, few, many)
				if d := take(t, fresh, ratelimit.Demand{Limit: 1, Key: []byte("all")}); d.Remaining > permits-2 || d.Remaining < permits-10 {
					t.Errorf("%s: %d of %d remain; want 2 taken, and a lease", a, d.Remaining, permits)
				}
			}
		}
	})
}

// A charge takes permits that are not there, up to a debt of a burst, and gives back up to a whole quota.
func TestCharge(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		for _, a := range algorithms {
			q, _ := open(t, at(addr), limitOf(a, 10, time.Hour))
			charge := func(n int) {
				t.Helper()
				if err := q.Charge(context.Background(), patient, []ratelimit.Demand{demand("alice", n)}); err != nil {
					t.Fatal(err)
				}
			}
			remaining := func(want int) {
				t.Helper()
				if d := take(t, q, demand("alice", 0)); d.Remaining != want {
					t.Errorf("%s: %d remain, want %d", a, d.Remaining, want)
				}
			}
			charge(4)
			remaining(6)
			charge(1000)
			remaining(0)
			charge(-10)
			remaining(0)
			charge(-3)
			remaining(3)
			charge(-1000)
			remaining(10)
		}
	})
}

// Keys are short, have only safe characters, and expire when their quota is whole.
func TestKeys(t *testing.T) {
	m := miniredis.RunT(t)
	for _, a := range algorithms {
		m.FlushAll()
		q, _ := open(t, at(m.Addr()), limitOf(a, 10, time.Minute))
		for _, key := range []string{"", "a:b", "{}", "x\r\nFLUSHALL\r\n", strings.Repeat("k", 64<<10), "\x00"} {
			take(t, q, demand(key, 1))
		}
		if n := len(m.Keys()); n != 6 {
			t.Errorf("%s: %d keys, want 6: %q", a, n, m.Keys())
		}
		for _, key := range m.Keys() {
			if len(key) > 100 || strings.Trim(key, "hauberk:{}0123456789cdf") != "" {
				t.Errorf("%s: key %q", a, key)
			}
			if ttl := m.TTL(key); ttl <= 0 || ttl > time.Minute+time.Second {
				t.Errorf("%s: key %q expires in %v", a, key, ttl)
			}
		}
		m.FastForward(time.Minute + time.Second)
		if n := len(m.Keys()); n != 0 {
			t.Errorf("%s: %d keys are left", a, n)
		}
	}
}

// The clock of the server may jump: no caller waits longer than a burst and 10 s, or gets more than a burst.
func TestServerClock(t *testing.T) {
	const per = time.Minute
	for _, a := range algorithms {
		m := miniredis.RunT(t)
		start := time.Unix(1_700_000_040, 0) // a whole minute
		m.SetTime(start)
		q, _ := open(t, at(m.Addr()), limitOf(a, 10, per))
		fresh := func() ratelimit.Decision { // does not know of rejections
			q, _ := open(t, at(m.Addr()), limitOf(a, 10, per))
			return take(t, q, demand("alice", 10))
		}
		take(t, q, demand("alice", 10))
		for _, jump := range []time.Duration{-5 * time.Second, -time.Hour, -time.Hour - time.Second} {
			m.SetTime(start.Add(jump))
			if d := fresh(); d.OK || d.RetryAfter > per+10*time.Second {
				t.Errorf("%s: set by %v: %+v", a, jump, d)
			}
		}
		m.SetTime(start.Add(-time.Hour + per + 11*time.Second))
		if d := fresh(); !d.OK {
			t.Errorf("%s: still rejected after a burst and 10 s: %+v", a, d)
		}
		m.SetTime(start.Add(time.Hour))
		if d := fresh(); !d.OK {
			t.Errorf("%s: set forward: %+v", a, d)
		}
		if d := fresh(); d.OK {
			t.Errorf("%s: more than a burst: %+v", a, d)
		}
	}
}

// Open reports limits that cannot be counted exactly, and New's bad settings.
func TestBadSettings(t *testing.T) {
	for _, c := range []struct {
		config ratelimitredis.Config
		limit  ratelimit.Limit
		want   string
	}{
		{ratelimitredis.Config{Name: "x"}, limitOf(0, 1, time.Second), "Addresses is empty"},
		{ratelimitredis.Config{Addresses: []string{"redis"}, Name: "x"}, limitOf(0, 1, time.Second), "host:port"},
		{ratelimitredis.Config{Addresses: []string{"a:1"}}, limitOf(0, 1, time.Second), "Name is empty"},
		{ratelimitredis.Config{Addresses: []string{"a:1"}, Name: "x", Username: "u"}, limitOf(0, 1, time.Second), "without Password"},
		{ratelimitredis.Config{Addresses: []string{"a:1", "b:1"}, Name: "x", DB: 1}, limitOf(0, 1, time.Second), "a cluster has no other"},
		{ratelimitredis.Config{Addresses: []string{"127.0.0.1:1"}, Name: "x"}, limitOf(0, 1, 1500*time.Nanosecond), "whole microseconds"},
		{ratelimitredis.Config{Addresses: []string{"127.0.0.1:1"}, Name: "x"}, limitOf(0, 1<<40+1, 1<<61), "whole microseconds"},
		{ratelimitredis.Config{Addresses: []string{"127.0.0.1:1"}, Name: "x"}, limitOf(0, 1<<40+1, 24*time.Hour), "too large"},
		{ratelimitredis.Config{Addresses: []string{"127.0.0.1:1"}, Name: "x"}, limitOf(2, 1<<60, time.Second), "want at most"},
	} {
		store := ratelimitredis.New(c.config)
		if _, err := store.Open([]ratelimit.Limit{c.limit}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c, err, c.want)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []*ratelimitredis.Store{nil, new(ratelimitredis.Store)} {
		limit := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Second}, ratelimit.WithStore(s))
		if _, err := hauberk.New(limit); err == nil || !strings.Contains(err.Error(), "a nil or zero Store") || s.Close() != nil {
			t.Errorf("%v, want an error", err)
		}
	}
	bad := ratelimitredis.New(ratelimitredis.Config{})
	if _, err := bad.Open(nil); err == nil || strings.Count(err.Error(), "ratelimitredis: ") != 2 {
		t.Errorf("%v; want two lines with the name of the package", err)
	}
}

// A password in what is not an address is in no error: not in those of a configuration, nor in those of
// a connection.
func TestNoPasswordInErrors(t *testing.T) {
	for _, address := range []string{
		"redis://user:s3cret@127.0.0.1:6379", "redis://:s3cret@127.0.0.1:6379/0", "user:s3cret@127.0.0.1:6379",
		"s3cret@127.0.0.1:6379", "127.0.0.1:6379,password=s3cret", "127.0.0.1:6379:s3cret", "127.0.0.1/s3cret:6379",
		"127.0.0.1?s3cret:6379", "127.0.0.1:s3cret", "s3cret", "127.0.0.1:6379 s3cret", "a=s3cret:6379", "a:0", "a:65536",
	} {
		store := ratelimitredis.New(ratelimitredis.Config{Addresses: []string{"a:1", address}, Name: "x"})
		_, err := hauberk.New(ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Second}, ratelimit.WithStore(store)))
		if err == nil || !strings.Contains(err.Error(), `Addresses[1] is not an address; want "host:port"`) {
			t.Errorf("%s: %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the password is in %v", err)
		}
		_ = store.Close()
	}
	for _, address := range []string{"redis-1.shop.svc:6379", "[::1]:6379", "[fe80::1%eth0]:6379", "bücher_1.example:1"} {
		if err := (ratelimitredis.Config{Addresses: []string{address}, Name: "x"}).Validate(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
