package breaker_test

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

// windowed returns a configuration that only a window opens.
func windowed(w breaker.Window) breaker.Config {
	return breaker.Config{Window: w, OpenFor: second, HalfOpenMaxCalls: 1}
}

// TestValidateWindow: each wrong value is named.
func TestValidateWindow(t *testing.T) {
	fine := breaker.Window{Calls: 10, MinCalls: 10, FailureRatio: 0.5}
	timed := breaker.Window{Time: time.Minute, MinCalls: 1, SlowRatio: 1, SlowAfter: 1}
	for _, c := range []struct {
		name   string
		window breaker.Window
		change func(*breaker.Window)
		err    string
	}{
		{"by calls", fine, func(*breaker.Window) {}, ""},
		{"by time", timed, func(*breaker.Window) {}, ""},
		{"greatest", fine, func(w *breaker.Window) { w.Calls = breaker.MaxWindowCalls }, ""},
		{"a day", timed, func(w *breaker.Window) { w.Time = 24 * time.Hour }, ""},
		{"no ratio", fine, func(w *breaker.Window) { w.FailureRatio = 0 }, "without a ratio"},
		{"NaN", fine, func(w *breaker.Window) { w.FailureRatio = math.NaN() }, "failure ratio of NaN"},
		{"above 1", timed, func(w *breaker.Window) { w.SlowRatio = 1.01 }, "slow ratio of 1.01"},
		{"below 0", fine, func(w *breaker.Window) { w.FailureRatio = -0.1 }, "failure ratio of -0.1"},
		{"many calls", fine, func(w *breaker.Window) { w.Calls = 1e9 }, "window of 1000000000 calls"},
		{"a year", timed, func(w *breaker.Window) { w.Time = 365 * 24 * time.Hour }, "window of 8760h"},
		{"no size", timed, func(w *breaker.Window) { w.Time = 0 }, "window of 0s"},
		{"both sizes", fine, func(w *breaker.Window) { w.Time = second }, "want one of them"},
		{"no least", fine, func(w *breaker.Window) { w.MinCalls = 0 }, "at least 0 calls"},
		{"never", fine, func(w *breaker.Window) { w.MinCalls = 11 }, "at least 11 calls"},
		{"no time", timed, func(w *breaker.Window) { w.SlowAfter = 0 }, "slow ratio of 1 after 0s"},
	} {
		w := c.window
		c.change(&w)
		config := windowed(w)
		config.FailureThreshold = 1
		err := config.Validate()
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
	}
	for want, c := range map[string]breaker.Config{
		"success threshold of -1": {FailureThreshold: 1, HalfOpenMaxCalls: 1, SuccessThreshold: -1},
		"mode 7":                  {FailureThreshold: 1, HalfOpenMaxCalls: 1, Mode: 7},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestCountWindow: the window has exactly the latest calls, over many rounds of its ring.
func TestCountWindow(t *testing.T) {
	b := breaker.New(windowed(breaker.Window{Calls: 100, MinCalls: 100, FailureRatio: 0.5}))
	for range 5 {
		for range 49 {
			call(t, b, 0, breaker.Failure)
		}
		for range 100 {
			call(t, b, 0, breaker.Success)
		}
		expect(t, b, breaker.Snapshot{Window: breaker.Counts{Calls: 100}})
	}
	for range 50 {
		call(t, b, 0, breaker.Failure)
	}
	expect(t, b, breaker.Snapshot{State: breaker.Open, Failures: 50, Changes: 1})
}

// TestManySuccesses: successes that are counted without the lock are all in the window.
func TestManySuccesses(t *testing.T) {
	for _, w := range []breaker.Window{
		{Time: time.Hour, MinCalls: 1, FailureRatio: 1},
		{Calls: 5000, MinCalls: 1, FailureRatio: 1},
	} {
		b := breaker.New(windowed(w))
		for range 4321 {
			call(t, b, second, breaker.Success)
		}
		expect(t, b, breaker.Snapshot{Window: breaker.Counts{Calls: 4321}})
	}
}

// TestExactRatio: 3 of 30 are 0.1.
func TestExactRatio(t *testing.T) {
	for n := 1; n <= 100; n++ {
		ratio := float64(n) / 100
		b := breaker.New(windowed(breaker.Window{Calls: 100, MinCalls: 100, FailureRatio: ratio}))
		for range 100 - n {
			call(t, b, 0, breaker.Success)
		}
		for i := range n {
			if b.Snapshot().State != breaker.Closed {
				t.Fatalf("%v: open after %d of %d failures", ratio, i, n)
			}
			call(t, b, 0, breaker.Failure)
		}
		if b.Snapshot().State != breaker.Open {
			t.Errorf("%v: closed after %d failures of 100", ratio, n)
		}
	}
}

// TestTimeWindow: a call counts for more than 9/10 of the window, and at most for all of it.
func TestTimeWindow(t *testing.T) {
	for offset := range 10 {
		start := time.Duration(offset) * 100 * time.Millisecond
		for age, counts := range map[time.Duration]bool{9 * second: true, 10 * second: false} {
			b := breaker.New(windowed(breaker.Window{Time: 10 * second, MinCalls: 2, FailureRatio: 1}))
			call(t, b, start, breaker.Failure)
			call(t, b, start+age, breaker.Failure)
			if got := b.Snapshot().State == breaker.Open; got != counts {
				t.Errorf("at %v, %v later: open %t", start, age, got)
			}
		}
	}
}

// TestRollingWindow: over many rounds of its buckets a window of 10 s has the calls of the latest ten
// seconds.
func TestRollingWindow(t *testing.T) {
	b := breaker.New(windowed(breaker.Window{Time: 10 * second, MinCalls: 1000, FailureRatio: 1}))
	for i := range 100 {
		at := time.Duration(i) * second
		call(t, b, at, breaker.Success)
		call(t, b, at, breaker.Failure)
		n := min(i+1, 10)
		if got, want := b.Snapshot().Window, (breaker.Counts{Calls: 2 * n, Failures: n}); got != want {
			t.Fatalf("after %v: %+v, want %+v", at, got, want)
		}
	}
}

// TestWindowLosesNothing: the window has all calls of goroutines, although successes take no lock and
// failures do.
func TestWindowLosesNothing(t *testing.T) {
	const goroutines, calls = 8, 4000
	for _, w := range []breaker.Window{
		{Time: time.Hour, MinCalls: 1 << 30, FailureRatio: 1},
		{Calls: goroutines * calls, MinCalls: goroutines * calls, FailureRatio: 1},
	} {
		b := breaker.New(windowed(w))
		var all sync.WaitGroup
		for g := range goroutines {
			all.Go(func() {
				for i := range calls {
					o := breaker.Success
					if (i+g)%4 == 0 {
						o = breaker.Failure
					}
					if p, err := b.Allow(second); err == nil {
						p.Done(second, o)
					}
				}
			})
		}
		all.Wait()
		want := breaker.Counts{Calls: goroutines * calls, Failures: goroutines * calls / 4}
		if got := b.Snapshot().Window; got != want {
			t.Errorf("%+v: the window holds %+v, want %+v", w, got, want)
		}
	}
}

// TestLateInWindow: outcomes that come late count in the newest bucket.
func TestLateInWindow(t *testing.T) {
	b := breaker.New(windowed(breaker.Window{Time: 10 * second, MinCalls: 4, FailureRatio: 0.5}))
	early := admit(t, b, 0)
	call(t, b, 8*second, breaker.Success)
	early.Done(7*second, breaker.Failure)
	call(t, b, 17*second, breaker.Success)
	expect(t, b, breaker.Snapshot{Window: breaker.Counts{Calls: 3, Failures: 1}})
}

// TestWindowOfClockSetBack: the window begins anew.
func TestWindowOfClockSetBack(t *testing.T) {
	b := breaker.New(windowed(breaker.Window{Time: 10 * second, MinCalls: 4, FailureRatio: 0.9}))
	call(t, b, time.Hour, breaker.Failure)
	call(t, b, time.Hour-second, breaker.Failure)
	expect(t, b, breaker.Snapshot{Failures: 2, Window: breaker.Counts{Calls: 2, Failures: 2}})
	call(t, b, 0, breaker.Failure)
	expect(t, b, breaker.Snapshot{Failures: 3, Window: breaker.Counts{Calls: 1, Failures: 1}})
	call(t, b, 11*second, breaker.Success)
	expect(t, b, breaker.Snapshot{Window: breaker.Counts{Calls: 1}})
}

// TestGreatestTimes: the greatest times do not overflow, and a jump of the clock empties the window.
func TestGreatestTimes(t *testing.T) {
	for _, w := range []breaker.Window{
		{Time: 10, MinCalls: 9, FailureRatio: 1}, {Time: 24 * time.Hour, MinCalls: 9, FailureRatio: 1},
	} {
		b := breaker.New(windowed(w))
		for _, at := range []time.Duration{0, 1 << 62, math.MaxInt64, math.MaxInt64, 0, math.MinInt64, math.MaxInt64} {
			call(t, b, at, breaker.Failure)
			if n := b.Snapshot().Window.Calls; n < 1 || n > 2 {
				t.Errorf("%+v: %d calls in the window at %d", w, n, at)
			}
		}
	}
}

// TestSlow: a call is slow from SlowAfter on. A slow success resets consecutive failures, and a slow
// probe opens the breaker.
func TestSlow(t *testing.T) {
	c := windowed(breaker.Window{Time: time.Minute, MinCalls: 3, SlowRatio: 0.6, SlowAfter: second})
	c.FailureThreshold = 3
	b := breaker.New(c)
	slow := func(started time.Duration, o breaker.Outcome) { admit(t, b, started).Done(started+second, o) }
	admit(t, b, 0).Done(second-1, breaker.Success)
	call(t, b, 0, breaker.Failure)
	slow(0, breaker.Success)
	expect(t, b, breaker.Snapshot{Window: breaker.Counts{Calls: 3, Failures: 1, Slow: 1}})
	slow(second, breaker.Neutral) // not counted
	slow(second, breaker.Failure)
	expect(t, b, breaker.Snapshot{Failures: 1, Window: breaker.Counts{Calls: 4, Failures: 2, Slow: 2}})
	slow(second, breaker.Success)
	expect(t, b, breaker.Snapshot{State: breaker.Open, Changes: 1})
	slow(3*second, breaker.Success) // the probe
	expect(t, b, breaker.Snapshot{State: breaker.Open, Changes: 3})
	probe := admit(t, b, 5*second)
	probe.DoneAnswered(time.Hour, second, breaker.Success) // its first answer was slow
	expect(t, b, breaker.Snapshot{State: breaker.Open, Changes: 5})
	probe = admit(t, b, 2*time.Hour)
	probe.DoneAnswered(3*time.Hour, second-1, breaker.Success)
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 7})
}

// TestForce: a forced state ignores outcomes and times. An open breaker that is automatic again is
// half-open.
func TestForce(t *testing.T) {
	var changes []breaker.Change
	b := breaker.New(breaker.Config{
		FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: 1,
		OnChange: func(c breaker.Change) { changes = append(changes, c) },
	})
	early := admit(t, b, 0)
	b.Force(breaker.ForcedClosed, 0)
	b.Force(breaker.ForcedClosed, 0) // no change
	early.Done(0, breaker.Failure)
	for range 5 {
		call(t, b, 0, breaker.Failure)
		admit(t, b, 0).DoneAnswered(0, 0, breaker.Failure)
	}
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Mode: breaker.ForcedClosed, Changes: 1})
	b.Force(breaker.ForcedOpen, 0)
	reject(t, b, time.Hour, breaker.ErrOpen, 0)
	if left := b.Left(time.Hour); left != 0 {
		t.Errorf("%v left", left)
	}
	b.Force(9, time.Hour) // as Automatic
	probe := admit(t, b, time.Hour)
	reject(t, b, time.Hour, breaker.ErrHalfOpen, 0)
	probe.Done(time.Hour, breaker.Failure)
	expect(t, b, breaker.Snapshot{State: breaker.Open, Failures: 1, Changes: 4})
	if left := b.Left(time.Hour + second/4); left != second*3/4 {
		t.Errorf("%v left, want 750ms", left)
	}
	want := []string{"closed>closed forced_closed", "closed>open forced_open", "open>half_open automatic", "half_open>open automatic"}
	for i, c := range changes {
		if got := c.From.String() + ">" + c.To.String() + " " + c.Mode.String(); i >= len(want) || got != want[i] {
			t.Errorf("change %d is %s", i, got)
		}
	}
	open := breaker.New(breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: 1, Mode: breaker.ForcedOpen})
	reject(t, open, 0, breaker.ErrOpen, 0)
	expect(t, open, breaker.Snapshot{State: breaker.Open, Mode: breaker.ForcedOpen})
}

func TestModeString(t *testing.T) {
	for mode, want := range map[breaker.Mode]string{
		breaker.Automatic: "automatic", breaker.ForcedOpen: "forced_open", breaker.ForcedClosed: "forced_closed", 9: "Mode(9)",
	} {
		if got := mode.String(); got != want {
			t.Errorf("Mode(%d) is %q, want %q", uint8(mode), got, want)
		}
	}
}

// TestGrowing: the time of each opening since the breaker was closed comes from Growing.
func TestGrowing(t *testing.T) {
	b := breaker.New(breaker.Config{
		FailureThreshold: 1, HalfOpenMaxCalls: 1, SuccessThreshold: 2,
		Growing: func(n int) time.Duration { return time.Duration(n) * second },
	})
	now := time.Duration(0)
	for range 2 {
		for n := range 4 {
			call(t, b, now, breaker.Failure)
			reject(t, b, now, breaker.ErrOpen, time.Duration(n+1)*second)
			now += time.Duration(n+1) * second
			if n < 3 {
				call(t, b, now, breaker.Success) // not enough
			}
		}
		call(t, b, now, breaker.Success)
		call(t, b, now, breaker.Success)
	}
	if s := b.Snapshot(); s.State != breaker.Closed {
		t.Errorf("%+v", s)
	}
}

// TestAllocationsOfWindows: windows allocate nothing per call.
func TestAllocationsOfWindows(t *testing.T) {
	for _, w := range windows[1:] {
		w.Calls *= 100
		if w.FailureRatio > 0 {
			w.FailureRatio = 1
		}
		b := breaker.New(windowed(w))
		now := time.Duration(0)
		n := testing.AllocsPerRun(2000, func() {
			for _, o := range outcomes {
				now++
				p, err := b.Allow(now)
				if err != nil {
					t.Fatal(err)
				}
				p.Done(now+1, o)
			}
		})
		if n != 0 {
			t.Errorf("%+v: %v allocations", w, n)
		}
	}
}
