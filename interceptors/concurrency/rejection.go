package concurrency

import (
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
)

// The errors that errors.Is finds in rejections, in this process.
var (
	ErrFull      = inflight.ErrFull
	ErrWaited    = inflight.ErrWaited
	ErrDisplaced = inflight.ErrDisplaced
	ErrNoTime    = inflight.ErrNoTime
	ErrLoad      = errors.New("the load of the process is too high")
)

// The reasons of rejections ([hauberk.Reason]), on both sides.
const (
	// ReasonFull: the limit is reached, and the queue is full or there is none.
	ReasonFull = "CONCURRENCY_FULL"
	// ReasonWaited: the call waited for Config.MaxWait.
	ReasonWaited = "CONCURRENCY_WAITED"
	// ReasonDisplaced: a call of higher priority, or of a tenant with fewer calls, took the
	// place in the queue.
	ReasonDisplaced = "CONCURRENCY_DISPLACED"
	// ReasonNoTime: the call cannot finish before its deadline.
	ReasonNoTime = "CONCURRENCY_NO_TIME"
	// ReasonLoad: the load of the process is too high.
	ReasonLoad = "LOAD_SHED"
)

const name = "concurrency"

// kind is one kind of rejection.
type kind struct {
	err     error
	reason  string
	message string
}

//nolint:gochecknoglobals // never written
var (
	full      = kind{ErrFull, ReasonFull, "Too many calls in flight"}
	waited    = kind{ErrWaited, ReasonWaited, "Waited too long for a free slot"}
	displaced = kind{ErrDisplaced, ReasonDisplaced, "Displaced by another call"}
	noTime    = kind{ErrNoTime, ReasonNoTime, "Not enough time left to wait"}
	load      = kind{ErrLoad, ReasonLoad, "The load of the server is too high"}
)

// kindOf returns the kind of an error of the engine.
func kindOf(err error) *kind {
	switch {
	case errors.Is(err, ErrWaited):
		return &waited
	case errors.Is(err, ErrDisplaced):
		return &displaced
	case errors.Is(err, ErrNoTime):
		return &noTime
	default:
		return &full
	}
}

// code returns the code of a rejection. What exceeds a limit that an operator has set is
// RESOURCE_EXHAUSTED; what is shed because of the load is UNAVAILABLE.
func (x *Interceptor) code(k *kind) codes.Code {
	switch {
	case k == &noTime:
		return codes.DeadlineExceeded
	case k == &load || k == &displaced || x.config.Adaptive != nil:
		return codes.Unavailable
	default:
		return codes.ResourceExhausted
	}
}

// subject is what a limit is of, in decisions and rejections.
type subject struct {
	rule, by string
	hook     string // the name of the interceptor in decisions of hooks, which must have one
}

// reject records and returns the rejection of a call, which can be admitted after a time.
func (x *Interceptor) reject(call *hauberk.Call, k *kind, of *subject, after time.Duration) *hauberk.Rejection {
	call.Decide(hauberk.Decision{Interceptor: of.hook, Rule: of.rule, Verdict: hauberk.Rejected, Reason: k.reason})
	r := &hauberk.Rejection{Code: x.code(k), Reason: k.reason, Message: k.message, Cause: k.err}
	if r.Code != codes.DeadlineExceeded { // another attempt would have no more time
		r.RetryAfter = max(after, x.config.RetryAfter)
	}
	if r.Code == codes.ResourceExhausted {
		r.QuotaViolations = []hauberk.QuotaViolation{{Subject: of.by, Description: k.message}}
	}
	return r
}
