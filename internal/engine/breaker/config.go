package breaker

import (
	"fmt"
	"time"
)

// Config configures a [Breaker].
type Config struct {
	// FailureThreshold is the number of consecutive failures that opens a closed
	// breaker, at least 1.
	FailureThreshold int
	// OpenFor is how long an open breaker rejects all calls; 0 means until the next one.
	OpenFor time.Duration
	// HalfOpenMaxCalls is how many probes may run concurrently, at least 1.
	HalfOpenMaxCalls int
	// ProbeTimeout is how long a probe without an outcome occupies its place; 0 means
	// forever.
	ProbeTimeout time.Duration
	// EstablishedAfter is how long a call that its server has answered runs until it counts
	// as a success although it has not ended: see [Permit.DoneAnswered] and [Permit.Watch].
	EstablishedAfter time.Duration
	// OnChange, if not nil, is called with each change of state, in order and never
	// concurrently. It runs on the goroutine of a call that makes a change, without the
	// breaker's lock, and may use the breaker. It must not panic: the permit of the
	// interrupted call would be lost.
	OnChange func(Change)
}

// Change is a change of state.
type Change struct {
	From, To State
	// At is the time of the call that made the change.
	At time.Duration
	// Failures is the number of consecutive failures.
	Failures int
}

// Validate returns an error that names the value that is out of range.
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
	case c.EstablishedAfter < 0:
		return fmt.Errorf("breaker: established after %v; want 0 or more", c.EstablishedAfter)
	}
	return nil
}
