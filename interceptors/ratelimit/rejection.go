package ratelimit

import (
	"errors"
	"math"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// Errors in this process, found by errors.Is in rejections.
var (
	// ErrLimited means that a limit is exceeded.
	ErrLimited = errors.New("ratelimit: the rate limit is exceeded")
	// ErrUnavailable means that the store of a shared limit did not answer, with FailClosed.
	ErrUnavailable = errors.New("ratelimit: the quotas are not available")
)

// The reasons of rejections ([hauberk.Reason]), on both sides.
const (
	// ReasonLimited means that a limit is exceeded.
	ReasonLimited = "RATE_LIMITED"
	// ReasonUnavailable means that the store of a shared limit did not answer, with FailClosed.
	ReasonUnavailable = "RATE_LIMIT_UNAVAILABLE"
)

const (
	message            = "Rate limit exceeded"
	messageUnavailable = "Rate limit unavailable"
)

// pushbackKey is the trailer's key of gRFC A6 with the wait before the next attempt, in
// milliseconds. A negative value means that there must be none.
const pushbackKey = "grpc-retry-pushback-ms"

// rejection is the common part of the rejections by one kind of key.
type rejection struct {
	decision hauberk.Decision
	quota    []hauberk.QuotaViolation
}

func newRejection(kind, rule string) rejection {
	return rejection{
		decision: hauberk.Decision{Rule: rule, Verdict: hauberk.Rejected, Reason: ReasonLimited},
		quota:    []hauberk.QuotaViolation{{Subject: kind, Description: message}},
	}
}

// answer returns the rejection of a call. wait is Never if it can never be admitted.
func (r *rejection) answer(wait time.Duration) *hauberk.Rejection {
	answer := &hauberk.Rejection{
		Code: codes.ResourceExhausted, Reason: ReasonLimited, Message: message,
		QuotaViolations: r.quota, Cause: ErrLimited,
	}
	if wait != Never {
		answer.RetryAfter = wait
	}
	return answer
}

// pushBack reports to the client of a server when it may retry.
func pushBack(call *hauberk.Call, wait time.Duration) {
	if call.Side() != hauberk.ServerSide || call.DryRun() {
		return
	}
	text := "-1"
	if ms := (wait-1)/time.Millisecond + 1; wait != Never && ms <= math.MaxInt32 {
		text = strconv.FormatInt(int64(ms), 10)
	}
	_ = call.SetTrailer(metadata.MD{pushbackKey: {text}}) // the call is over: no one needs it
}

// unavailable returns the rejection of a call whose quotas are not known. wait is how long calls do
// without a store that has failed.
func unavailable(wait time.Duration, cause error) *hauberk.Rejection {
	return &hauberk.Rejection{
		Code: codes.Unavailable, Reason: ReasonUnavailable, Message: messageUnavailable,
		Cause: errors.Join(ErrUnavailable, cause), RetryAfter: wait,
	}
}

// verdict is a rejection with what is recorded of it.
type verdict struct {
	x       *Interceptor
	decided hauberk.Decision
	outcome outcome // limit is nil if the quotas are not known
	wait    time.Duration
	answer  *hauberk.Rejection
}

// limited returns the verdict on an outcome, or nil if the permits were taken.
func (x *Interceptor) limited(s *outcome) *verdict {
	r := s.rejection()
	if r == nil {
		return nil
	}
	return &verdict{x, r.decision, *s, s.RetryAfter, r.answer(s.RetryAfter)}
}

// reject records the rejection of a call and returns it. decider is the name of the interceptor for
// decisions of hooks; "" is the running one.
func (v *verdict) reject(call *hauberk.Call, decider string) error {
	v.record(call, decider)
	return v.answer
}

func (v *verdict) record(call *hauberk.Call, decider string) {
	v.x.report(call, &v.outcome)
	d := v.decided
	d.Interceptor = decider
	call.Decide(d)
	pushBack(call, v.wait)
}

// later returns the rejection for a handler, which may return it or not: it is recorded once the call
// ends with it. In a dry run it is recorded at once, and the handler gets none.
func (v *verdict) later(call *hauberk.Call) error {
	if call.DryRun() {
		v.record(call, name)
		return nil
	}
	v.answer.Cause = &unreported{v.answer.Cause, v}
	return v.answer
}

// unreported is the cause of a rejection that was given to a handler.
type unreported struct {
	error

	verdict *verdict
}

// Unwrap returns the cause itself.
func (u *unreported) Unwrap() error { return u.error }

// settle records the rejection with which a call ends, if a handler got it from Take.
func (x *Interceptor) settle(call *hauberk.Call, err error) {
	if err == nil || !x.charges {
		return
	}
	rejection := hauberk.RejectionOf(err)
	if rejection == nil {
		return
	}
	if u, ok := errors.AsType[*unreported](rejection.Cause); ok && u.verdict.x == x {
		u.verdict.record(call, "")
	}
}
