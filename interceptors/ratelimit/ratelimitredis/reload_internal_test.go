package ratelimitredis

import (
	"context"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/alicebob/miniredis/v2"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// Quotas that a reload has replaced are garbage, with what they know of keys, although the store is open. Of keys
// with leases only those are kept, which Close gives back.
func TestReplacedQuotasAreGarbage(t *testing.T) {
	m := miniredis.RunT(t)
	store := New(Config{Addresses: []string{m.Addr()}, Name: "test"})
	defer func() { _ = store.Close() }()
	limit := ratelimit.Limit{Name: "user", Permits: 10_000, Per: 24 * time.Hour, Burst: 10_000, Algorithm: ratelimit.FixedWindow}
	take := func(q ratelimit.Quotas, permits int) (d ratelimit.Decision) {
		decisions := make([]ratelimit.Decision, 1)
		demands := []ratelimit.Demand{{Key: []byte("alice"), Permits: permits}}
		if err := q.Take(context.Background(), time.Minute, demands, decisions); err != nil {
			t.Fatal(err)
		}
		return decisions[0]
	}
	const calls = 100
	replaced := func(calls int) weak.Pointer[quotas] {
		q, err := store.Open([]ratelimit.Limit{limit})
		if err != nil {
			t.Fatal(err)
		}
		for range calls {
			take(q, 1)
		}
		return weak.Make(q.(*quotas))
	}
	for _, p := range []weak.Pointer[quotas]{replaced(0), replaced(calls)} {
		for deadline := time.Now().Add(time.Minute); p.Value() != nil; runtime.GC() {
			if time.Now().After(deadline) {
				t.Fatal("the store keeps quotas that are not in use")
			}
		}
	}
	store.mu.Lock()
	if n := len(store.holding); n != 1 {
		t.Errorf("%d quotas have leases; want 1", n)
	}
	store.mu.Unlock()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	after := New(Config{Addresses: []string{m.Addr()}, Name: "test"})
	defer func() { _ = after.Close() }()
	q, err := after.Open([]ratelimit.Limit{limit})
	if err != nil {
		t.Fatal(err)
	}
	if d := take(q, 0); d.Remaining != limit.Permits-calls {
		t.Errorf("%d remain, want %d", d.Remaining, limit.Permits-calls)
	}
}

// Quotas whose last lease has ended are not kept.
func TestEndedLeasesAreForgotten(t *testing.T) {
	m := miniredis.RunT(t)
	store := New(Config{Addresses: []string{m.Addr()}, Name: "test"})
	defer func() { _ = store.Close() }()
	q, err := store.Open([]ratelimit.Limit{{Name: "user", Permits: 10_000, Per: time.Second, Burst: 10_000}})
	if err != nil {
		t.Fatal(err)
	}
	held := func() int {
		store.mu.Lock()
		defer store.mu.Unlock()
		return len(store.holding)
	}
	wait := func(want int, do func()) {
		for deadline := time.Now().Add(time.Minute); held() != want; runtime.Gosched() {
			do()
			if time.Now().After(deadline) {
				t.Fatalf("%d quotas have leases; want %d", held(), want)
			}
		}
	}
	wait(1, func() {
		demands := []ratelimit.Demand{{Key: []byte("alice"), Permits: 1}}
		_ = q.Take(context.Background(), time.Minute, demands, make([]ratelimit.Decision, 1))
	})
	wait(0, func() {})
}
