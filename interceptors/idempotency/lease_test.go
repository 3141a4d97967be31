package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// A store that is away for less than what is left of a lease, whenever that begins, costs a call that runs neither its
// lease nor its result. If it is away for longer, the context of the call ends with the lease.
func TestStoreAwayWhileCallRuns(t *testing.T) {
	const lease = 30 * time.Second
	for name, test := range map[string]struct {
		from, until time.Duration
		hang        bool // requests have no answer, instead of an error
		lost        bool
	}{
		"for two renewals":                 {from: 9 * time.Second, until: 22 * time.Second},
		"for two renewals without answers": {from: 9 * time.Second, until: 22 * time.Second, hang: true},
		"until the end of the lease":       {from: time.Second, until: lease - 2*time.Second},
		"without answers until then":       {from: time.Second, until: lease - 2*time.Second, hang: true},
		"for longer":                       {from: time.Second, until: lease + time.Second, lost: true},
		"for longer without answers":       {from: time.Second, until: lease + time.Second, hang: true, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &faulty{Store: idempotency.NewMemory(idempotency.MemoryConfig{})}
				store.hang.Store(test.hang)
				w := newWorld(t, idempotency.New(idempotency.Config{Lease: lease}, idempotency.WithStore(store)))
				began := time.Now()
				var ended time.Duration
				var cause error
				w.handle = func(ctx context.Context) error {
					select {
					case <-time.After(2 * time.Minute):
					case <-ctx.Done():
						ended, cause = time.Since(began), context.Cause(ctx)
					}
					return nil
				}
				first := w.start(t.Context(), "a", "k")
				after(test.from)
				store.renew.Store(true)
				after(test.until - test.from)
				store.renew.Store(false)
				if !test.lost {
					repeat := w.start(t.Context(), "a", "k")
					after(3 * time.Minute)
					w.wants("a 1", first)
					w.wants("a 1", repeat)
				}
				after(time.Minute)
				if lost := cause != nil; lost != test.lost || lost && (!errors.Is(cause, idempotency.ErrLeaseLost) || ended != lease) {
					t.Errorf("the context ended after %v with %v; want lost: %t, at the end of the lease", ended, cause, test.lost)
				}
			})
		})
	}
}
