package breaker

import (
	"errors"
	"fmt"
	"time"
)

// State is one of [Closed], [Open] and [HalfOpen].
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

// Outcome is what a call says of the health of what it called.
type Outcome uint8

// The outcomes of calls. Any other value counts as Neutral.
const (
	Neutral Outcome = iota
	Success
	Failure
)

// Why a call was rejected: what [RejectedError] unwraps to.
var (
	ErrOpen     = errors.New("circuit breaker is open")
	ErrHalfOpen = errors.New("circuit breaker is half-open")
)

// RejectedError is the error of [Breaker.Allow].
type RejectedError struct {
	// State is Open or HalfOpen.
	State State
	// RetryAfter is the time until a call may be admitted: until the breaker is no
	// longer open, or until a probe loses its place for taking too long; 0 if it is
	// not known.
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
	// State is as the last call left it: an open breaker whose time has passed is
	// open until the next call.
	State State
	// Failures is how many in a row there have been.
	Failures int
	// Probes is how many places of probes are taken; 0 unless half-open.
	Probes int
	// Changes is how often the state has changed.
	Changes uint64
}
