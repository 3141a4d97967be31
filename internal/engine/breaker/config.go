package breaker

import (
	"fmt"
	"time"
)

// Config says when a [Breaker] opens and closes.
type Config struct {
	// FailureThreshold is how many failures in a row open a closed breaker, at
	// least 1.
	FailureThreshold int
	// OpenFor is how long it then rejects all calls; 0 means until the next one.
	OpenFor time.Duration
	// HalfOpenMaxCalls is how many probes may run at once, at least 1.
	HalfOpenMaxCalls int
	// ProbeTimeout is how long a probe keeps its place without an outcome; 0 means
	// for ever.
	ProbeTimeout time.Duration
	// OnChange, if not nil, is told of each change of state: in order, one at a
	// time, on the goroutine of some call that changed it, and outside the
	// breaker's lock. It may use the breaker, and must not panic: the permit of the
	// call that it interrupts would be lost.
	OnChange func(Change)
}

// Change is a change of state.
type Change struct {
	From, To State
	// At is the time of the call that made the change.
	At time.Duration
	// Failures is how many in a row there have been.
	Failures int
}

// Validate returns an error that says which value is out of range.
func (c Config) Validate() error {
	switch {
	case c.FailureThreshold < 1:
		return fmt.Errorf("breaker: failure threshold of %d; want at least 1", c.FailureThreshold)
	case c.OpenFor < 0:
		return fmt.Errorf("breaker: open for %v; want 0 or more", c.OpenFor)
	case c.HalfOpenMaxCalls < 1:
		return fmt.Errorf("breaker: at most %d calls while half-open; want at least 1", c.HalfOpenMaxCalls)
	case c.ProbeTimeout < 0:
		return fmt.Errorf("breaker: probe timeout of %v; want 0 for none, or more", c.ProbeTimeout)
	}
	return nil
}
