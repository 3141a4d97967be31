package breaker

import (
	"errors"
	"fmt"
	"time"
)

// State is the state of a breaker: [Closed], [Open] or [HalfOpen].
type State uint8

// The states of a breaker.
const (
	Closed State = iota
	Open
	HalfOpen
)

// String returns "closed", "open" or "half_open".
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Outcome is what a call says about the health of its server.
type Outcome uint8

// The outcomes of calls. Any other value counts as Neutral.
const (
	Neutral Outcome = iota
	Success
	Failure
)

// The reasons for rejections: [RejectedError] unwraps to one of them.
var (
	ErrOpen     = errors.New("circuit breaker is open")
	ErrHalfOpen = errors.New("circuit breaker is half-open")
)

// RejectedError is the error of [Breaker.Allow].
type RejectedError struct {
	// State is Open or HalfOpen.
	State State
	// RetryAfter is the time until a call may be admitted: until OpenFor has passed, or
	// until a probe exceeds ProbeTimeout; 0 if it is not known.
	RetryAfter time.Duration
}

// Error returns the text of [ErrOpen] or [ErrHalfOpen].
func (e *RejectedError) Error() string { return e.Unwrap().Error() }

// Unwrap returns [ErrOpen] or [ErrHalfOpen].
func (e *RejectedError) Unwrap() error {
	if e.State == HalfOpen {
		return ErrHalfOpen
	}
	return ErrOpen
}

// Snapshot is a breaker at one moment.
type Snapshot struct {
	// State is the state after the last call: a breaker stays open after OpenFor until
	// the next call.
	State State
	// Failures is the number of consecutive failures.
	Failures int
	// Probes is how many places of probes are occupied; 0 unless half-open.
	Probes int
	// Changes is how often the state has changed.
	Changes uint64
}
