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

// reject records a rejection and returns it. wait is Never if the call can never be admitted.
func (r *rejection) reject(call *hauberk.Call, decider string, wait time.Duration) error {
	d := r.decision
	d.Interceptor = decider
	call.Decide(d)
	answer := &hauberk.Rejection{
		Code: codes.ResourceExhausted, Reason: ReasonLimited, Message: message,
		QuotaViolations: r.quota, Cause: ErrLimited,
	}
	if wait != Never {
		answer.RetryAfter = wait
	}
	pushBack(call, wait)
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

// unavailable returns the rejection of a call whose quotas are not known.
func unavailable(call *hauberk.Call, decider, rule string, cause error) error {
	call.Decide(hauberk.Decision{
		Interceptor: decider, Rule: rule, Verdict: hauberk.Rejected, Reason: ReasonUnavailable,
	})
	return &hauberk.Rejection{
		Code: codes.Unavailable, Reason: ReasonUnavailable, Message: messageUnavailable,
		Cause: errors.Join(ErrUnavailable, cause),
	}
}
