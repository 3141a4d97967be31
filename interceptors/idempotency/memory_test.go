package idempotency_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// A Memory has the transitions of Store.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, k, of := t.Context(), idempotency.Key{1}, idempotency.Fingerprint{2}
		m := idempotency.NewMemory(idempotency.MemoryConfig{MaxKeys: 2, MaxBytes: 1000})
		begin := func(owner string, want idempotency.State) {
			t.Helper()
			if r, err := m.Begin(ctx, k, owner, of, time.Second); err != nil || r.State != want || r.Fingerprint != of {
				t.Errorf("Begin: %+v, %v; want state %d", r, err, want)
			}
		}
		held := func(want bool) func(bool, error) {
			t.Helper()
			return func(got bool, err error) {
				t.Helper()
				if got != want || err != nil {
					t.Errorf("held %t, %v; want %t", got, err, want)
				}
			}
		}
		finish := func(owner, text string) (bool, error) {
			return m.Finish(ctx, k, owner, of, []byte(text), time.Minute)
		}
		begin("a", idempotency.Owned)
		begin("a", idempotency.Owned)
		begin("b", idempotency.Running)
		held(false)(m.Renew(ctx, k, "b", time.Second))
		<-time.After(900 * time.Millisecond)
		held(true)(m.Renew(ctx, k, "a", time.Second))
		<-time.After(900 * time.Millisecond)
		begin("b", idempotency.Running)
		<-time.After(100 * time.Millisecond)
		held(false)(m.Renew(ctx, k, "a", time.Second))
		begin("b", idempotency.Owned)
		held(false)(finish("a", "late"))
		_ = m.Release(ctx, k, "a")
		begin("c", idempotency.Running)
		_ = m.Release(ctx, k, "b")
		held(true)(finish("a", "outcome"))
		begin("c", idempotency.Finished)
		held(true)(finish("a", "again"))
		held(false)(finish("b", "again"))
		held(false)(m.Renew(ctx, k, "a", time.Second))
		_ = m.Release(ctx, k, "a")
		if r, _ := m.Begin(ctx, k, "c", of, time.Second); string(r.Outcome) != "outcome" {
			t.Errorf("%+v", r)
		}

		if _, err := m.Begin(ctx, idempotency.Key{2}, "a", of, time.Second); err != nil {
			t.Error(err)
		}
		if _, err := m.Begin(ctx, idempotency.Key{3}, "a", of, time.Second); !errors.Is(err, idempotency.ErrFull) {
			t.Errorf("%v; want ErrFull", err)
		}
		if _, err := m.Finish(ctx, idempotency.Key{2}, "a", of, make([]byte, 600), time.Second); !errors.Is(err, idempotency.ErrFull) {
			t.Errorf("%v; want ErrFull", err)
		}
		<-time.After(time.Minute)
		if keys, bytes := m.Len(); keys != 0 || bytes != 0 {
			t.Errorf("%d keys with %d bytes are left", keys, bytes)
		}
	})
}

// Keys that have expired take no room and have no owner, also if there are more of them than one operation removes.
func TestMemoryAfterManyHaveExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, outcome = 1000, 100
		m := idempotency.NewMemory(idempotency.MemoryConfig{MaxKeys: keys, MaxBytes: keys * (320 + outcome - 16)})
		ctx, of := t.Context(), idempotency.Fingerprint{1}
		key := func(i int) idempotency.Key { return idempotency.Key{byte(i), byte(i >> 8)} }
		fill := func(owner string, from, to, size int) {
			t.Helper()
			for i := from; i < to; i++ {
				r, err := m.Begin(ctx, key(i), owner, of, time.Minute)
				if err != nil || r.State != idempotency.Owned {
					t.Fatalf("Begin of %s, key %d: %+v, %v; want Owned", owner, i, r, err)
				}
				if held, err := m.Finish(ctx, key(i), owner, of, make([]byte, size), time.Minute); !held || err != nil {
					t.Fatalf("Finish of %s, key %d: %t, %v", owner, i, held, err)
				}
			}
		}
		full := func(err error) {
			t.Helper()
			if !errors.Is(err, idempotency.ErrFull) {
				t.Errorf("%v; want ErrFull", err)
			}
		}
		fill("a", 0, keys, outcome)
		_, err := m.Begin(ctx, key(keys), "a", of, time.Minute)
		full(err)
		<-time.After(time.Minute)
		if held, err := m.Renew(ctx, key(keys-1), "a", time.Minute); held || err != nil {
			t.Errorf("a key that has expired is renewed: %t, %v", held, err)
		}
		fill("b", keys-1, keys, (keys-2)*(320+outcome-16))
		fill("b", 0, 1, 0)
		_, err = m.Finish(ctx, key(1), "b", of, make([]byte, 400), time.Minute)
		full(err)
		<-time.After(time.Minute)
		fill("c", 0, keys, outcome)
		_, err = m.Begin(ctx, key(keys), "c", of, time.Minute)
		full(err)
		<-time.After(time.Minute)
		if n, bytes := m.Len(); n != 0 || bytes != 0 {
			t.Errorf("%d keys with %d bytes are left", n, bytes)
		}
	})
}

// The defaults of a Memory hold the keys of a steady rate of calls. Other stores keep them for longer.
func TestDefaultsHoldSteadyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = time.Minute
		store := idempotency.NewMemory(idempotency.MemoryConfig{})
		own := idempotency.New(idempotency.Config{})
		w, other := newWorld(t, own), newWorld(t, idempotency.New(idempotency.Config{}, idempotency.WithStore(&faulty{Store: store})))
		for i := range int(30 * time.Hour / every) {
			w.wants(fmt.Sprint("a ", i+1), w.call(t.Context(), "a", strconv.Itoa(i)))
			other.wants(fmt.Sprint("a ", i+1), other.call(t.Context(), "a", strconv.Itoa(i)))
			<-time.After(every - time.Nanosecond)
		}
		keys, _ := store.Len()
		if want := int(idempotency.DefaultTTL / every); keys != want {
			t.Errorf("%d keys in a store; want the %d of a day", keys, want)
		}
		for _, m := range own.Measurements() {
			if want := float64(idempotency.DefaultMemoryTTL / every); m.Name == "idempotency_memory_keys" && m.Value != want {
				t.Errorf("%v keys in memory; want the %v of an hour", m.Value, want)
			}
		}
	})
	if rate := idempotency.DefaultMaxKeys / idempotency.DefaultMemoryTTL.Seconds(); rate < 100 {
		t.Errorf("the defaults hold the keys of %v calls a second; want at least 100", rate)
	}
}
