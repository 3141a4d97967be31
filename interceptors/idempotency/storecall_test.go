package idempotency_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// slow is a store whose first Begin has its effect, but does not answer.
type slow struct {
	idempotency.Store

	asked atomic.Bool
}

func (s *slow) Begin(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, lease time.Duration,
) (idempotency.Record, error) {
	r, err := s.Store.Begin(ctx, key, owner, of, lease)
	if !s.asked.Swap(true) {
		<-ctx.Done()
		return idempotency.Record{}, ctx.Err()
	}
	return r, err
}

// A key that the store gave to a call which did not get the answer in time is free at once: the lease of
// a call that does not run makes no one wait.
func TestBeginWithoutAnswer(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"the call ends first": 10 * time.Millisecond, "the store is late": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &slow{Store: idempotency.NewMemory(idempotency.MemoryConfig{})}
				w := newWorld(t, idempotency.New(idempotency.Config{}, idempotency.WithStore(store)))
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				if c := w.call(ctx, "a", "k"); c.err == nil {
					t.Error("the first call has succeeded")
				}
				began := time.Now()
				w.wants("a 1", w.call(t.Context(), "a", "k"))
				if waited := time.Since(began); waited > 0 {
					t.Errorf("the repeat has waited %v", waited)
				}
				after(time.Second) // the key is given back once more
			})
		})
	}
}

// stalled is a store that stops once, and does what it was asked meanwhile when it goes on, in another order: Begin last.
type stalled struct {
	idempotency.Store

	until time.Time
}

func (s *stalled) Begin(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, lease time.Duration,
) (idempotency.Record, error) {
	if !time.Now().Before(s.until) {
		return s.Store.Begin(ctx, key, owner, of, lease)
	}
	time.AfterFunc(time.Until(s.until)+time.Millisecond, func() {
		_, _ = s.Store.Begin(context.Background(), key, owner, of, lease)
	})
	<-ctx.Done()
	return idempotency.Record{}, ctx.Err()
}

func (s *stalled) Release(ctx context.Context, key idempotency.Key, owner string) error {
	if left := time.Until(s.until); left > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(left):
		}
	}
	return s.Store.Release(ctx, key, owner)
}

// A key that a store gives late to a call which has ended is free soon after, and not when its lease expires.
func TestLateBegin(t *testing.T) {
	for name, stall := range map[string]time.Duration{
		"shorter than StoreTimeout": 500 * time.Millisecond, "between": 1500 * time.Millisecond, "longer": 5 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &stalled{Store: idempotency.NewMemory(idempotency.MemoryConfig{}), until: time.Now().Add(stall)}
				w := newWorld(t, idempotency.New(idempotency.Config{}, idempotency.WithStore(store)))
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if c := w.call(ctx, "a", "k"); c.err == nil {
					t.Error("a call has succeeded without the store")
				}
				after(time.Until(store.until) + 2*time.Millisecond)
				began := time.Now()
				w.wants("a 1", w.call(t.Context(), "a", "k"))
				if waited := time.Since(began); waited > 2*time.Second {
					t.Errorf("a repeat has waited %v", waited)
				}
				after(2 * time.Second)
			})
		})
	}
}

// A lease that has expired before the store answers gives no right to execute.
func TestAnswerAfterLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{Store: idempotency.NewMemory(idempotency.MemoryConfig{})}
		w := newWorld(t, idempotency.New(idempotency.Config{Lease: 20 * time.Millisecond, StoreTimeout: time.Hour},
			idempotency.WithStore(store)))
		began := time.Now()
		c := w.call(t.Context(), "a", "k")
		if hauberk.Reason(c.err) != idempotency.ReasonUnavailable || time.Since(began) != 20*time.Millisecond {
			t.Errorf("%v after %v; want that the store is late after the lease", c.err, time.Since(began))
		}
		after(time.Second) // the key is given back once more
	})
}

// panicking is a store that panics on request.
type panicking struct {
	idempotency.Store

	begin, renew, finish bool
	err                  error // in place of a panic
}

func (p *panicking) fail(op string) error {
	if p.err == nil {
		panic(op)
	}
	return p.err
}

func (p *panicking) Begin(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, lease time.Duration,
) (idempotency.Record, error) {
	if p.begin {
		return idempotency.Record{}, p.fail("begin")
	}
	return p.Store.Begin(ctx, key, owner, of, lease)
}

func (p *panicking) Renew(ctx context.Context, key idempotency.Key, owner string, lease time.Duration) (bool, error) {
	if p.renew {
		return false, p.fail("renew")
	}
	return p.Store.Renew(ctx, key, owner, lease)
}

func (p *panicking) Finish(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, text []byte, ttl time.Duration,
) (bool, error) {
	if p.finish {
		return false, p.fail("finish")
	}
	return p.Store.Finish(ctx, key, owner, of, text, ttl)
}

// endless is an error that wraps itself.
type endless struct{}

func (e *endless) Error() string { return e.Unwrap().Error() }
func (e *endless) Unwrap() error { return e }

// A panic of a store is a failure of the store, also on the goroutine that renews leases. So is an error that wraps
// itself.
func TestStorePanics(t *testing.T) {
	for _, c := range []struct {
		name   string
		store  panicking
		reason string
	}{
		{"Begin", panicking{begin: true}, idempotency.ReasonUnavailable},
		{"Renew", panicking{renew: true}, ""},
		{"Finish", panicking{finish: true}, ""},
		{"endless error of Begin", panicking{begin: true, err: new(endless)}, idempotency.ReasonUnavailable},
		{"endless error of Renew", panicking{renew: true, err: new(endless)}, ""},
		{"endless error of Finish", panicking{finish: true, err: new(endless)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := c.store
				store.Store = idempotency.NewMemory(idempotency.MemoryConfig{})
				w := newWorld(t, idempotency.New(idempotency.Config{Lease: time.Second}, idempotency.WithStore(&store)))
				w.handle = func(context.Context) error {
					<-time.After(900 * time.Millisecond)
					return nil
				}
				got := w.call(t.Context(), "a", "k")
				if got.panic != nil || hauberk.Reason(got.err) != c.reason || c.reason == "" && got.err != nil {
					t.Errorf("%+v", got)
				}
				after(2 * time.Second) // the store is given the outcome until the lease has passed
			})
		})
	}
}

// A nil Memory is an error of the configuration.
func TestNilMemory(t *testing.T) {
	_, err := hauberk.New(idempotency.New(idempotency.Config{}, idempotency.WithStore((*idempotency.Memory)(nil))))
	if err == nil || !strings.Contains(err.Error(), "NewMemory") {
		t.Errorf("%v", err)
	}
}
