package breaker

import (
	"context"
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

// ReasonFallback is the reason of the decision about a call that the fallback has answered.
const ReasonFallback = "BREAKER_FALLBACK"

// The keys of the metadata of the ErrorInfo.
const (
	circuitKey = "circuit"
	forcedKey  = "forced"
)

// rejected ends a call that c does not admit. err is that of the engine.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (b *Interceptor) rejected(ctx context.Context, call *hauberk.Call, c *circuit, err error) error {
	rejection := c.rejection(err)
	decision := hauberk.Decision{Rule: c.public, Verdict: hauberk.Rejected, Reason: rejection.Reason}
	if b.fallback == nil || call.DryRun() {
		call.Decide(decision)
		return rejection
	}
	defer func() { call.Decide(decision) }() // also if the fallback panics
	if err := b.fallback(ctx, call, rejection); err != nil {
		return err
	}
	decision.Verdict, decision.Reason = hauberk.Allowed, ReasonFallback
	b.fallbacks.Add(1)
	return nil
}

// rejection returns the rejection of a call. err is that of the engine.
func (c *circuit) rejection(err error) *hauberk.Rejection {
	reason := ReasonOpen
	if errors.Is(err, ErrHalfOpen) {
		reason = ReasonHalfOpen
	}
	rejection := hauberk.Reject(codes.Unavailable, reason, err.Error())
	rejection.Metadata = map[string]string{circuitKey: c.public}
	rejection.Cause = &rejectedError{err: err, circuit: c.public, last: c.lastFailure()}
	if rejected, ok := errors.AsType[*breaker.RejectedError](err); ok {
		if rejected.State == Open { // a probe usually ends long before its timeout
			rejection.RetryAfter = rejected.RetryAfter
		}
		if rejected.Forced {
			rejection.Metadata[forcedKey] = "true"
		}
	}
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
