package breaker

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

// The errors that errors.Is finds in a rejection.
var (
	ErrOpen     = breaker.ErrOpen
	ErrHalfOpen = breaker.ErrHalfOpen
)

// The reasons of rejections.
const (
	ReasonOpen     = "BREAKER_OPEN"
	ReasonHalfOpen = "BREAKER_HALF_OPEN"
)

// circuitKey is the key of the circuit's name in the metadata of the ErrorInfo.
const circuitKey = "circuit"

// reject records and returns the rejection of a call. err is that of the engine.
func (c *circuit) reject(call *hauberk.Call, name string, err error) error {
	reason := ReasonOpen
	if errors.Is(err, ErrHalfOpen) {
		reason = ReasonHalfOpen
	}
	cause := &rejectedError{err: err, circuit: name}
	if last := c.failure.Load(); last != nil {
		cause.last = *last
	}
	rejection := hauberk.Reject(codes.Unavailable, reason, err.Error())
	rejection.Metadata = map[string]string{circuitKey: name}
	rejection.Cause = cause
	if rejected, ok := errors.AsType[*breaker.RejectedError](err); ok {
		rejection.RetryAfter = rejected.RetryAfter
	}
	call.Decide(hauberk.Decision{Rule: name, Verdict: hauberk.Rejected, Reason: reason})
	return rejection
}

// rejectedError is the cause of a rejection: errors.Is finds ErrOpen or ErrHalfOpen in
// it, and errors.Unwrap returns the circuit's last failure.
type rejectedError struct {
	err     error // of the engine
	circuit string
	last    error // the last failure; nil if there is none
}

func (e *rejectedError) Error() string {
	if e.last == nil {
		return fmt.Sprintf("circuit %q: %v", e.circuit, e.err)
	}
	return fmt.Sprintf("circuit %q: %v; last failure: %v", e.circuit, e.err, e.last)
}

func (e *rejectedError) Is(target error) bool { return errors.Is(e.err, target) }

func (e *rejectedError) Unwrap() error { return e.last }
