package breaker

import (
	"fmt"
	"time"
)

// Config configures a [Breaker].
type Config struct {
	// FailureThreshold is the number of consecutive failures that opens a closed breaker: at
	// least 1. With a Window it may be 0: then only the ratios open the breaker.
	FailureThreshold int
	// Window opens a closed breaker by ratios of recent calls. The zero Window has none.
	Window Window
	// OpenFor is how long an open breaker rejects all calls; 0 means until the next one.
	OpenFor time.Duration
	// Growing, if not nil, returns how long an open breaker rejects all calls, in place of
	// OpenFor. openings is how often it has opened since it was closed, from 1 on. Growing runs
	// with the breaker's lock.
	Growing func(openings int) time.Duration
	// HalfOpenMaxCalls is how many probes may run concurrently, at least 1.
	HalfOpenMaxCalls int
	// SuccessThreshold is how many probes must succeed to close a half-open breaker. It may
	// exceed HalfOpenMaxCalls, since ended probes are replaced. 0 means 1.
	SuccessThreshold int
	// ProbeTimeout is how long a probe without an outcome occupies its place; 0 means
	// forever.
	ProbeTimeout time.Duration
	// EstablishedAfter is how long a call that its server has answered runs until it counts
	// as a success although it has not ended: see [Permit.DoneAnswered] and [Permit.Watch].
	EstablishedAfter time.Duration
	// Mode is the mode of the new breaker.
	Mode Mode
	// OnChange, if not nil, is called with each change, in order and never
	// concurrently. It runs on the goroutine of a call that makes a change, without the
	// breaker's lock, and may use the breaker. It must not panic: the permit of the
	// interrupted call would be lost.
	OnChange func(Change)
}

// The greatest windows.
const (
	MaxWindowCalls = 1 << 16 // 16 KiB of a breaker
	MaxWindowTime  = 24 * time.Hour
)

// Window are ratios of recent calls that open a closed breaker. They are checked when a call is a
// failure or slow: a success that is not slow opens nothing. A change of state empties the window.
type Window struct {
	// Calls is how many of the latest calls count, from 1 to MaxWindowCalls. If it is 0, Time is
	// set.
	Calls int
	// Time is how long calls count, at most MaxWindowTime. The window moves in steps of a tenth
	// of it: a call counts for more than 9/10 of Time and at most for Time. A success that is not
	// slow counts at the time when it was admitted, or at that of the latest outcome in the window
	// if that is later. Others count at their end.
	Time time.Duration
	// MinCalls is the least number of calls in the window that opens the breaker, at least 1.
	MinCalls int
	// FailureRatio is the part of the calls that opens the breaker if they are failures, above 0 and at
	// most 1. 0 means none.
	FailureRatio float64
	// SlowRatio is the part of the calls that opens the breaker if they take SlowAfter or longer,
	// above 0 and at most 1. 0 means none. A probe that is so slow fails.
	SlowRatio float64
	SlowAfter time.Duration
}

func (w Window) isSet() bool { return w.FailureRatio > 0 || w.SlowRatio > 0 }

// Change is a change of the state or of the mode. If only the mode has changed, From and To are equal.
type Change struct {
	From, To State
	// Mode is the mode after the change.
	Mode Mode
	// At is the time of the call that made the change. It is not known for probes that succeed.
	At time.Duration
	// Failures is the number of consecutive failures.
	Failures int
	// Window is what the window held before the change.
	Window Counts
	// OpenFor is how long the breaker will be open. It is 0 if To is not Open, or the breaker is
	// forced.
	OpenFor time.Duration
}

// Validate returns an error that names the value that is out of range.
func (c Config) Validate() error {
	switch {
	case c.FailureThreshold < 0, c.FailureThreshold == 0 && !c.Window.isSet():
		return fmt.Errorf("breaker: failure threshold of %d; want at least 1", c.FailureThreshold)
	case c.OpenFor < 0:
		return fmt.Errorf("breaker: open for %v; want 0 or more", c.OpenFor)
	case c.HalfOpenMaxCalls < 1:
		return fmt.Errorf("breaker: at most %d calls while half-open; want at least 1", c.HalfOpenMaxCalls)
	case c.SuccessThreshold < 0:
		return fmt.Errorf("breaker: success threshold of %d; want at least 1, or 0 for 1", c.SuccessThreshold)
	case c.ProbeTimeout < 0:
		return fmt.Errorf("breaker: probe timeout of %v; want 0 for none, or more", c.ProbeTimeout)
	case c.EstablishedAfter < 0:
		return fmt.Errorf("breaker: established after %v; want 0 or more", c.EstablishedAfter)
	case c.Mode > ForcedClosed:
		return fmt.Errorf("breaker: mode %d; want Automatic, ForcedOpen or ForcedClosed", c.Mode)
	}
	return c.Window.validate()
}

func (w Window) validate() error {
	switch {
	case w == (Window{}):
		return nil
	case !isRatio(w.FailureRatio), !isRatio(w.SlowRatio):
		return fmt.Errorf("breaker: failure ratio of %v, slow ratio of %v; want 0 for none, or more, up to 1",
			w.FailureRatio, w.SlowRatio)
	case (w.SlowRatio > 0) != (w.SlowAfter > 0):
		return fmt.Errorf("breaker: slow ratio of %v after %v; want both or none", w.SlowRatio, w.SlowAfter)
	case !w.isSet():
		return fmt.Errorf("breaker: a window without a ratio: %+v", w)
	}
	return w.validateSize()
}

func (w Window) validateSize() error {
	switch {
	case w.Calls < 0 || w.Calls > MaxWindowCalls:
		return fmt.Errorf("breaker: window of %d calls; want at most %d", w.Calls, MaxWindowCalls)
	case w.Calls > 0 && w.Time != 0:
		return fmt.Errorf("breaker: window of %d calls and of %v; want one of them", w.Calls, w.Time)
	case w.Calls == 0 && (w.Time < bucketCount || w.Time > MaxWindowTime):
		return fmt.Errorf("breaker: window of %v; want %v to %v", w.Time, time.Duration(bucketCount), MaxWindowTime)
	case w.MinCalls < 1 || w.Calls > 0 && w.MinCalls > w.Calls:
		return fmt.Errorf("breaker: at least %d calls in a window; want 1 or more, and no more than it has", w.MinCalls)
	}
	return nil
}

// isRatio reports whether 0 <= x <= 1. It returns false for NaN.
func isRatio(x float64) bool { return x >= 0 && x <= 1 }
