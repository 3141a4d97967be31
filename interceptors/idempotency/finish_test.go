package idempotency_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// A store that is away when a call ends, and comes back within the lease, gets the outcome: the call does not wait
// for it, and a repeat waits and does not execute.
func TestStoreAway(t *testing.T) {
	for name, test := range map[string]struct {
		away time.Duration
		hang bool // requests have no answer, instead of an error
		want string
	}{
		"for a moment":              {away: 100 * time.Millisecond, want: "a 1"},
		"for most of the lease":     {away: 18 * time.Second, want: "a 1"},
		"without answers":           {away: 18 * time.Second, hang: true, want: "a 1"},
		"for longer than the lease": {away: 25 * time.Second, want: "a 2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &faulty{Store: idempotency.NewMemory(idempotency.MemoryConfig{})}
				var logged strings.Builder
				w := newWorld(t, idempotency.New(idempotency.Config{Lease: 20 * time.Second}, idempotency.WithStore(store),
					idempotency.WithLogger(slog.New(slog.NewTextHandler(&logged, nil)))))
				store.hang.Store(test.hang)
				store.finish.Store(true)
				began := time.Now()
				w.wants("a 1", w.call(t.Context(), "a", "k"))
				if took := time.Since(began); took > 0 && !test.hang || took > 3*time.Second {
					t.Errorf("the call has waited %v for the store", took)
				}
				repeat := w.start(t.Context(), "a", "k")
				after(test.away - time.Since(began))
				if test.want == "a 1" && w.handled.Load() != 1 {
					t.Error("the repeat was executed while the lease holds")
				}
				store.finish.Store(false)
				after(2 * time.Second)
				w.wants(test.want, repeat)
				w.wants(test.want, w.call(t.Context(), "a", "k"))
				if lost := strings.Contains(logged.String(), "may execute it again"); lost != (test.want == "a 2") {
					t.Errorf("logged %q", logged.String())
				}
			})
		})
	}
}

// fullStore is a store that has no room for outcomes of more than some bytes.
type fullStore struct {
	idempotency.Store

	most int
}

func (s *fullStore) Finish(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, text []byte, ttl time.Duration,
) (bool, error) {
	if len(text) > s.most {
		return false, errors.Join(errors.New("no memory"), idempotency.ErrFull)
	}
	return s.Store.Finish(ctx, key, owner, of, text, ttl)
}

// A store without room for an outcome does not make a repeat execute: it keeps that the call was executed, or that
// it runs.
func TestFullStore(t *testing.T) {
	for name, test := range map[string]struct {
		store idempotency.Store
		want  codes.Code // of a repeat after a minute
	}{
		"memory":           {idempotency.NewMemory(idempotency.MemoryConfig{MaxBytes: 330}), codes.FailedPrecondition},
		"room for a note":  {&fullStore{idempotency.NewMemory(idempotency.MemoryConfig{}), 2}, codes.FailedPrecondition},
		"room for nothing": {&fullStore{idempotency.NewMemory(idempotency.MemoryConfig{}), 0}, codes.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, idempotency.New(idempotency.Config{}, idempotency.WithStore(test.store)))
				w.wants("a 1", w.call(t.Context(), "a", "k"))
				after(2 * time.Minute)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				c := w.call(ctx, "a", "k")
				if hauberk.CodeOf(c.err) != test.want || w.handled.Load() != 1 {
					t.Errorf("%v, %d executions; want %v and 1", c.err, w.handled.Load(), test.want)
				}
			})
		})
	}
}

// The outcomes that wait for a store after their calls have ended are bounded. Further calls wait themselves, so that no
// outcome is lost, or with FailOpen lose it at once. Calls that the store does not admit take no room from outcomes.
func TestUnsettledAreBounded(t *testing.T) {
	const kept, more = 1000, 10
	for name, test := range map[string]struct {
		failOpen bool
		away     time.Duration
		ended    int64 // calls at once
		lost     int64 // in the end
	}{
		"within the lease":            {away: 20 * time.Second, ended: kept},
		"longer":                      {away: time.Minute, ended: kept, lost: kept + more},
		"FailOpen":                    {failOpen: true, away: 20 * time.Second, ended: kept + more, lost: more},
		"FailOpen, longer than lease": {failOpen: true, away: time.Minute, ended: kept + more, lost: kept + more},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &faulty{Store: idempotency.NewMemory(idempotency.MemoryConfig{})}
				var lost atomic.Int64
				w := newWorld(t, idempotency.New(idempotency.Config{FailOpen: test.failOpen}, idempotency.WithStore(store),
					idempotency.WithLogger(slog.New(counter{slog.DiscardHandler, &lost}))))
				store.begin.Store(true)
				for range 2000 {
					w.call(t.Context(), "a", "k")
				}
				store.begin.Store(false)
				store.finish.Store(true)
				var ended atomic.Int64
				for i := range kept + more {
					go func() {
						w.call(t.Context(), "a", strconv.Itoa(i))
						ended.Add(1)
					}()
				}
				synctest.Wait()
				if n := ended.Load(); n != test.ended {
					t.Errorf("%d calls have ended at once; want %d", n, test.ended)
				}
				after(test.away)
				store.finish.Store(false)
				after(time.Second)
				if n := lost.Load(); n != test.lost || ended.Load() != kept+more {
					t.Errorf("%d outcomes were lost, and %d calls have ended; want %d, and all", n, ended.Load(), test.lost)
				}
			})
		})
	}
}

// lostKeys is a store in which no key is made free.
type lostKeys struct{ idempotency.Store }

func (lostKeys) Release(context.Context, idempotency.Key, string) error { return errDown }

// What is done after the end of a call keeps neither its request nor the values of its context in memory.
func TestEndedCallsAreGarbage(t *testing.T) {
	type large [1 << 20]byte
	type ctxKey struct{}
	for name, prepare := range map[string]func(f *faulty, w *world){
		"Begin fails":       func(f *faulty, _ *world) { f.begin.Store(true) },
		"the outcome waits": func(f *faulty, _ *world) { f.finish.Store(true) },
		"the key is to free": func(_ *faulty, w *world) {
			w.handle = func(context.Context) error { return status.Error(codes.Aborted, "") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &faulty{Store: lostKeys{idempotency.NewMemory(idempotency.MemoryConfig{})}}
				w := newWorld(t, idempotency.New(idempotency.Config{MaxRun: time.Second}, idempotency.WithStore(store),
					idempotency.WithLogger(slog.New(slog.DiscardHandler))))
				prepare(store, w)
				var found weak.Pointer[large]
				done := make(chan struct{})
				go func() { // its stack goes away
					defer close(done)
					value := new(large)
					found = weak.Make(value)
					w.call(context.WithValue(t.Context(), ctxKey{}, value), "a", "k")
					runtime.KeepAlive(value)
				}()
				<-done
				after(idempotency.DefaultLease / 2) // the timers of the call, which are stopped, go away
				for range 3 {                       // what a cleanup or a pool has held
					runtime.GC()
				}
				if found.Value() != nil {
					t.Error("the context of a call that has ended is in memory")
				}
				after(time.Minute)
			})
		})
	}
}

// counter counts what is logged.
type counter struct {
	slog.Handler

	n *atomic.Int64
}

func (counter) Enabled(context.Context, slog.Level) bool { return true }

func (c counter) Handle(context.Context, slog.Record) error {
	c.n.Add(1)
	return nil
}
