package idempotency_test

import (
	"errors"
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
