package breaker_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// TestFailureRatio: a circuit opens at a failure that makes the ratio of the window, if it has
// MinCalls, for all kinds of calls and windows.
func TestFailureRatio(t *testing.T) {
	for name, config := range map[string]breaker.Config{
		"by calls": {FailureRatio: 0.5, MinCalls: 6, WindowCalls: 8},
		"by time":  {FailureRatio: 0.5, MinCalls: 6, WindowTime: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				w := start(t, kind, config)
				w.repeat(t, 2, codes.OK)
				w.repeat(t, 1, codes.Unavailable)
				w.repeat(t, 2, codes.Canceled) // counts for nothing
				w.repeat(t, 1, codes.OK)
				w.repeat(t, 1, codes.Unavailable)
				w.wantState(t, breaker.Closed) // 2 of 5
				want := breaker.Counts{Calls: 5, Failures: 2}
				if got := w.breaker.Circuits()[0].Window; got != want {
					t.Errorf("the window holds %+v, want %+v", got, want)
				}
				w.repeat(t, 1, codes.NotFound) // a success: 2 of 6
				w.repeat(t, 1, codes.Internal) // 3 of 7
				w.wantState(t, breaker.Closed)
				w.repeat(t, 1, codes.DataLoss) // 4 of 8
				w.wantState(t, breaker.Open)
				if err := w.call(t, codes.OK); !errors.Is(err, breaker.ErrOpen) {
					t.Errorf("got %v, want a rejection", err)
				}
			})
		})
	}
}

// TestWindowForgets: calls beyond the window do not count, nor those of before a change.
func TestWindowForgets(t *testing.T) {
	for name, c := range map[string]struct {
		config breaker.Config
		forget func(w *world)
	}{
		"by calls": {
			breaker.Config{FailureRatio: 0.5, MinCalls: 4, WindowCalls: 4},
			func(w *world) { w.repeat(t, 4, codes.OK) },
		},
		"by time": {
			breaker.Config{FailureRatio: 0.5, MinCalls: 4, WindowTime: time.Minute},
			func(w *world) { w.clock.Advance(time.Minute) },
		},
		"after a change": {
			breaker.Config{FailureRatio: 0.5, MinCalls: 4, WindowTime: time.Hour},
			func(w *world) {
				w.repeat(t, 1, codes.Internal) // opens
				w.clock.Advance(time.Minute)
				w.repeat(t, 1, codes.OK) // closes
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, hauberk.Unary, c.config)
			w.repeat(t, 3, codes.Unavailable)
			c.forget(w)
			w.repeat(t, 1, codes.Unavailable)
			w.wantState(t, breaker.Closed)
		})
	}
}

// TestRatioAndThreshold: any of consecutive failures and a ratio opens; with a ratio, consecutive
// failures open only if FailureThreshold is set.
func TestRatioAndThreshold(t *testing.T) {
	w := start(t, hauberk.Unary, breaker.Config{FailureRatio: 1})
	w.repeat(t, 19, codes.Unavailable)
	w.wantState(t, breaker.Closed)
	w.repeat(t, 1, codes.Unavailable) // DefaultMinCalls
	w.wantState(t, breaker.Open)

	both := breaker.Config{FailureRatio: 0.3, FailureThreshold: 3}
	w = start(t, hauberk.Unary, both)
	w.repeat(t, 3, codes.Unavailable)
	w.wantState(t, breaker.Open)
	w = start(t, hauberk.Unary, both)
	for range 8 { // never 3 in a row
		w.repeat(t, 1, codes.Unavailable)
		w.repeat(t, 2, codes.OK)
	}
	w.wantState(t, breaker.Open)
}

// TestSlowRatio: calls that take SlowAfter or longer open a circuit, however they end, and a slow
// probe does not close it.
func TestSlowRatio(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w := start(t, kind, breaker.Config{SlowRatio: 0.6, SlowAfter: time.Second, MinCalls: 5, WindowTime: time.Hour})
		w.takes.Store(int64(time.Second - 1))
		w.repeat(t, 2, codes.OK)
		w.takes.Store(int64(time.Second))
		w.repeat(t, 1, codes.OK)
		w.repeat(t, 1, codes.NotFound)
		w.wantState(t, breaker.Closed)
		if got, want := w.breaker.Circuits()[0].Window, (breaker.Counts{Calls: 4, Slow: 2}); got != want {
			t.Errorf("the window holds %+v, want %+v", got, want)
		}
		w.repeat(t, 1, codes.OK)
		w.wantState(t, breaker.Open)
		w.clock.Advance(time.Minute)
		w.repeat(t, 1, codes.OK) // a slow probe
		w.wantState(t, breaker.Open)
		w.takes.Store(0)
		w.clock.Advance(time.Minute)
		w.repeat(t, 1, codes.OK)
		w.wantState(t, breaker.Closed)
	})
}

// TestSlowStream: of a stream of responses the time until its first message counts, and not how long
// it lives.
func TestSlowStream(t *testing.T) {
	streaming(t, func(t *testing.T, kind hauberk.Kind) {
		for _, c := range []struct {
			first, later time.Duration
			state        breaker.State
		}{
			{0, time.Hour, breaker.Closed},
			{time.Second, 0, breaker.Open},
		} {
			w := startWatches(t, kind, breaker.Config{SlowRatio: 1, SlowAfter: time.Second, MinCalls: 1, WindowTime: 2 * time.Hour})
			w.before = c.first
			streams := w.open(t, 1)
			w.clock.Advance(c.later)
			close(w.restart)
			end(t, streams[0], codes.Unavailable)
			if got := w.breaker.States()[service]; got != c.state {
				t.Errorf("%v until the first message and %v later: %v, want %v", c.first, c.later, got, c.state)
			}
		}
	})
}

// TestSuccessThreshold: so many probes must succeed, also more than run at a time, and one that fails
// opens the circuit.
func TestSuccessThreshold(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w := start(t, kind, breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: 1, SuccessThreshold: 3})
		w.repeat(t, 1, codes.Unavailable)
		w.clock.Advance(time.Minute)
		w.repeat(t, 2, codes.OK)
		w.wantState(t, breaker.HalfOpen)
		if got := w.breaker.Circuits()[0].Successes; got != 2 {
			t.Errorf("%d successes, want 2", got)
		}
		w.repeat(t, 1, codes.Unavailable)
		w.wantState(t, breaker.Open)
		w.clock.Advance(time.Minute)
		w.repeat(t, 2, codes.OK)
		w.repeat(t, 1, codes.Canceled) // counts for nothing
		w.wantState(t, breaker.HalfOpen)
		w.repeat(t, 1, codes.OK)
		w.wantState(t, breaker.Closed)
	})
}

// TestWatchesAreSuccesses: established probes that go on free their places, and each is one of the
// successes.
func TestWatchesAreSuccesses(t *testing.T) {
	streaming(t, func(t *testing.T, kind hauberk.Kind) {
		w := startWatches(t, kind, breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: 2, SuccessThreshold: 3})
		w.fail = codes.Unavailable
		_, _ = w.watch(t, t.Context())
		w.fail = codes.OK
		w.clock.Advance(time.Minute)
		streams := w.open(t, 2)
		w.clock.Advance(time.Second)
		streams = append(streams, w.open(t, 1)...) // in place of both
		w.want(t, breaker.HalfOpen, 0)
		w.clock.Advance(time.Second)
		streams = append(streams, w.open(t, 1)...)
		w.want(t, breaker.Closed, 0)
		close(w.restart)
		for _, s := range streams {
			end(t, s, codes.Unavailable)
		}
	})
}

// TestOpenForGrows: each failed probe opens for longer, up to the greatest time, and a circuit that
// has closed begins anew.
func TestOpenForGrows(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w := start(t, kind, breaker.Config{
			FailureThreshold: 1, OpenFor: time.Minute, OpenForMultiplier: 3, MaxOpenFor: 5 * time.Minute,
		})
		fail := func(want time.Duration) {
			t.Helper()
			w.repeat(t, 1, codes.Unavailable)
			if got := w.breaker.Circuits()[0].OpenFor; got != want {
				t.Errorf("open for %v, want %v", got, want)
			}
			w.clock.Advance(want - 1)
			err := w.call(t, codes.OK)
			if r := hauberk.RejectionOf(err); r == nil || r.RetryAfter != 1 {
				t.Errorf("shortly before: %v", err)
			}
			w.clock.Advance(1)
		}
		for _, want := range []time.Duration{time.Minute, 3 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			fail(want)
		}
		w.repeat(t, 1, codes.OK)
		w.wantState(t, breaker.Closed)
		fail(time.Minute)
	})
}

// TestOpenForJitter: times differ, within the jitter.
func TestOpenForJitter(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for range 20 {
		w := start(t, hauberk.Unary, breaker.Config{FailureThreshold: 1, OpenFor: time.Minute, OpenForJitter: 0.5})
		w.repeat(t, 1, codes.Unavailable)
		got := w.breaker.Circuits()[0].OpenFor
		if got < 30*time.Second || got > 90*time.Second {
			t.Errorf("open for %v, want 30s to 90s", got)
		}
		seen[got] = true
	}
	if len(seen) < 10 {
		t.Errorf("only %d different times", len(seen))
	}
}

// TestCountAtFirstResponse: a stream counts at its first message; its end does not count. One without
// a message counts at its end.
func TestCountAtFirstResponse(t *testing.T) {
	streaming(t, func(t *testing.T, kind hauberk.Kind) {
		w := startWatches(t, kind, breaker.Config{FailureThreshold: 2, HalfOpenMaxCalls: 1, CountAtFirstResponse: true})
		fail := func() {
			w.fail = codes.Unavailable
			_, _ = w.watch(t, t.Context())
			w.fail = codes.OK
		}
		fail()
		w.want(t, breaker.Closed, 1)
		streams := w.open(t, 1)
		w.want(t, breaker.Closed, 0)
		close(w.restart)
		end(t, streams[0], codes.Unavailable)
		w.restart = make(chan struct{})
		w.want(t, breaker.Closed, 0)
		fail()
		fail()
		w.want(t, breaker.Open, 2)
		w.clock.Advance(time.Minute)
		streams = w.open(t, 1) // the probe closes the circuit at once
		w.want(t, breaker.Closed, 0)
		w.open(t, 3)
		close(w.restart)
		end(t, streams[0], codes.Unavailable)
		w.want(t, breaker.Closed, 0)
		if last := w.breaker.Circuits()[0].LastFailure; hauberk.CodeOf(last) != codes.Unavailable {
			t.Errorf("the last failure is %v", last)
		}
	})
}

// TestWindowTime: a window of a minute has calls for longer than the default.
func TestWindowTime(t *testing.T) {
	for window, want := range map[time.Duration]breaker.State{time.Minute: breaker.Open, 0: breaker.Closed} {
		w := start(t, hauberk.Unary, breaker.Config{FailureRatio: 0.5, MinCalls: 4, WindowTime: window})
		w.repeat(t, 1, codes.OK)
		w.repeat(t, 2, codes.Unavailable)
		w.clock.Advance(30 * time.Second)
		w.repeat(t, 1, codes.Unavailable)
		w.wantState(t, want)
	}
}
