package idempotency_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// With FailOpen a call is executed while the store fails, unless it is known that the first call with its key was running.
func TestFailOpenWhileFirstRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: idempotency.NewMemory(idempotency.MemoryConfig{})}
		w := newWorld(t, idempotency.New(idempotency.Config{FailOpen: true}, idempotency.WithStore(store)))
		w.handle = func(context.Context) error {
			<-time.After(5 * time.Second)
			return nil
		}
		first := w.start(t.Context(), "a", "k")
		repeat := w.start(t.Context(), "a", "k")
		after(time.Second)
		store.begin.Store(true)
		after(time.Second)
		if !repeat.done.Load() || hauberk.Reason(repeat.err) != idempotency.ReasonUnavailable {
			t.Errorf("%v; want that the repeat ends with %s", repeat.err, idempotency.ReasonUnavailable)
		}
		other := w.start(t.Context(), "b", "k2")
		after(10 * time.Second)
		w.wants("a 1", first)
		w.wants("b 2", other)
	})
}
