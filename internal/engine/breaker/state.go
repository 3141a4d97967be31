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

// Mode is whether a breaker changes its state by itself: [Automatic], or else an operator has
// forced a state, and outcomes count for nothing.
type Mode uint8

// The modes of a breaker.
const (
	Automatic Mode = iota
	ForcedOpen
	ForcedClosed
)

// String returns "automatic", "forced_open" or "forced_closed".
func (m Mode) String() string {
	switch m {
	case Automatic:
		return "automatic"
	case ForcedOpen:
		return "forced_open"
	case ForcedClosed:
		return "forced_closed"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
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
	// Forced reports whether the state is forced.
	Forced bool
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
	// Mode is Automatic unless the state is forced.
	Mode Mode
	// Failures is the number of consecutive failures.
	Failures int
	// Window is what the window held after the last call that counted.
	Window Counts
	// Successes is how many probes have succeeded; 0 unless half-open.
	Successes int
	// Probes is how many places of probes are occupied; 0 unless half-open.
	Probes int
	// Changes is how often the state or the mode has changed.
	Changes uint64
}
