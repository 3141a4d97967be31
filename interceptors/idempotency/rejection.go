package idempotency

import (
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// The errors that errors.Is finds in rejections, in this process.
var (
	ErrMissing     = errors.New("the call has no idempotency key")
	ErrInvalid     = errors.New("the idempotency key is not valid")
	ErrReused      = errors.New("the idempotency key belongs to another request")
	ErrRunning     = errors.New("the first call with the idempotency key runs")
	ErrLost        = errors.New("the result of the first call is not kept")
	ErrUnavailable = errors.New("the store of idempotency keys fails")
	ErrUnsupported = errors.New("the request is not a protobuf message")
)

// The reasons of rejections ([hauberk.Reason]), on both sides. See the documentation of the package.
const (
	ReasonMissing     = "IDEMPOTENCY_KEY_MISSING"
	ReasonInvalid     = "IDEMPOTENCY_KEY_INVALID"
	ReasonReused      = "IDEMPOTENCY_KEY_REUSED"
	ReasonRunning     = "IDEMPOTENCY_RUNNING"
	ReasonLost        = "IDEMPOTENCY_RESULT_LOST"
	ReasonUnavailable = "IDEMPOTENCY_UNAVAILABLE"
	ReasonUnsupported = "IDEMPOTENCY_UNSUPPORTED"
)

// fault is one kind of rejection.
type fault struct {
	err     error
	code    codes.Code
	reason  string
	message string
	retry   bool
}

//nolint:gochecknoglobals // never written
var (
	missing = fault{
		ErrMissing, codes.InvalidArgument, ReasonMissing, "The call needs an idempotency key", false,
	}
	invalid = fault{
		ErrInvalid, codes.InvalidArgument, ReasonInvalid, "The idempotency key is not valid", false,
	}
	reused = fault{
		ErrReused, codes.InvalidArgument, ReasonReused, "The idempotency key belongs to another request", false,
	}
	running = fault{
		ErrRunning, codes.Aborted, ReasonRunning, "The first call with the idempotency key runs", true,
	}
	resultLost = fault{
		ErrLost, codes.FailedPrecondition, ReasonLost, "The call was executed; its result is not kept", false,
	}
	unavailable = fault{
		ErrUnavailable, codes.Unavailable, ReasonUnavailable, "Idempotency keys are not available", true,
	}
	unsupported = fault{
		ErrUnsupported, codes.Internal, ReasonUnsupported, "The call cannot have an idempotency key", false,
	}
)

// reject records and returns the rejection of a call.
func (x *Interceptor) reject(call *hauberk.Call, f *fault, cause error) error {
	call.Decide(hauberk.Decision{Verdict: hauberk.Rejected, Reason: f.reason})
	r := &hauberk.Rejection{Code: f.code, Reason: f.reason, Message: f.message, Cause: errors.Join(f.err, cause)}
	if f.retry {
		r.RetryAfter = x.config.RetryAfter
	}
	return r
}
