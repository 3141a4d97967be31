package guard_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/errtree"
	"github.com/hauberk-rpc/hauberk/internal/guard"
)

var errDown = errors.New("down")

// Three failures in a row open the circuit; after a time one request finds out whether the store
// answers again. Requests whose caller has left count as neither.
func TestGuard(t *testing.T) {
	now := time.Duration(0)
	var log bytes.Buffer
	g := guard.New(guard.Config{
		Name: "test", Mode: "local", Timeout: time.Second, RetryStore: 10 * time.Second,
		Clock: func() time.Duration { return now }, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	asked := 0
	do := func(ctx context.Context, result error) error {
		return g.Do(ctx, func() error {
			asked++
			return result
		})
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	for _, result := range []error{errDown, errDown, nil, errDown, errDown} {
		if err := do(t.Context(), result); !errors.Is(err, result) {
			t.Errorf("%v; want %v", err, result)
		}
		_ = do(left, errDown)
	}
	if n, failing := g.Failures(); n != 4 || failing {
		t.Errorf("%d failures, failing %t; want 4 and a closed circuit", n, failing)
	}
	_ = do(t.Context(), errDown)
	if n, failing := g.Failures(); n != 5 || !failing || !strings.Contains(log.String(), `fails" error=down mode=local`) {
		t.Errorf("%d failures, failing %t, log %q; want an open circuit", n, failing, log.String())
	}
	before := asked
	if err := do(t.Context(), nil); err == nil || asked != before {
		t.Errorf("%v; the store was asked although the circuit is open", err)
	}
	now += 10 * time.Second
	if err := do(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, failing := g.Failures(); failing || !strings.Contains(log.String(), "answers again") {
		t.Errorf("log %q; want a closed circuit", log.String())
	}
}

// Check counts what the store answers after the caller has left: silence and panics open the circuit, an answer
// closes it. One Check asks at a time.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		g := guard.New(guard.Config{
			Name: "test", Mode: "local", Timeout: time.Second, RetryStore: 10 * time.Second,
			Clock: func() time.Duration { return time.Since(start) }, Log: slog.New(slog.DiscardHandler),
		})
		asked := 0
		check := func(result func() error) {
			for range 5 {
				g.Check(func() error {
					asked++
					<-time.After(time.Second)
					return result()
				})
			}
			<-time.After(time.Second)
			synctest.Wait()
		}
		for _, result := range []func() error{
			func() error { return errDown }, func() error { panic("on purpose") }, func() error { return errDown },
		} {
			if _, failing := g.Failures(); failing {
				t.Error("the circuit is open too early")
			}
			check(result)
		}
		if n, failing := g.Failures(); n != 3 || !failing || asked != 3 {
			t.Errorf("%d failures, failing %t, asked %d times; want 3, and an open circuit", n, failing, asked)
		}
		check(func() error { return nil })
		if asked != 3 {
			t.Error("the store was asked although the circuit is open")
		}
		<-time.After(10 * time.Second)
		check(func() error { return nil })
		if _, failing := g.Failures(); failing || asked != 4 {
			t.Errorf("failing %t, asked %d times; want a closed circuit", failing, asked)
		}
	})
}

// A pause fails all requests that are in flight at a time. It counts once, so that the circuit stays closed.
func TestFailuresAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		g := guard.New(guard.Config{
			Name: "test", Mode: "local", Timeout: time.Second, RetryStore: 10 * time.Second,
			Clock: func() time.Duration { return time.Since(start) }, Log: slog.New(slog.DiscardHandler),
		})
		pause := func() {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					_ = g.Do(t.Context(), func() error {
						<-time.After(time.Second)
						return errDown
					})
				})
			}
			wg.Wait()
		}
		for i, want := range []bool{false, false, true} {
			pause()
			if n, failing := g.Failures(); n != uint64(100*(i+1)) || failing != want {
				t.Errorf("after %d pauses %d failures, failing %t", i+1, n, failing)
			}
		}
		<-time.After(10 * time.Second)
		pause() // one request finds out
		if n, failing := g.Failures(); n != 301 || !failing {
			t.Errorf("%d failures, failing %t; want one more, and an open circuit", n, failing)
		}
	})
}

// endless is an error that wraps itself.
type endless struct{}

func (e *endless) Error() string { return e.Unwrap().Error() }
func (e *endless) Unwrap() error { return e }

// An error that wraps itself is a failure of the store, of which the log has no text.
func TestEndlessError(t *testing.T) {
	var log bytes.Buffer
	g := guard.New(guard.Config{
		Name: "test", Mode: "local", Timeout: time.Second, RetryStore: 10 * time.Second,
		Clock: func() time.Duration { return 0 }, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 3 {
		if err := g.Do(t.Context(), func() error { return new(endless) }); !errors.Is(err, errtree.ErrEndless) {
			t.Errorf("%v; want ErrEndless", err)
		}
	}
	if _, failing := g.Failures(); !failing || !strings.Contains(log.String(), "wraps itself") {
		t.Errorf("failing %t, log %q; want an open circuit", failing, log.String())
	}
}
