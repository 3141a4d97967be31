package cache

import (
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/answerkey"
)

// The errors that errors.Is finds in rejections, in this process.
var (
	ErrNotCached   = errors.New("there is no answer in the cache")
	ErrKeyPanicked = answerkey.ErrKeyPanicked
)

// The reasons of rejections ([hauberk.Reason]).
const (
	// ReasonNotCached: a call with only-if-cached has no answer in memory.
	ReasonNotCached = "NOT_CACHED"
	// ReasonKeyPanicked: the function of WithKey panicked.
	ReasonKeyPanicked = answerkey.ReasonKeyPanicked
)

// notCached rejects a call with only-if-cached. HTTP has 504 (RFC 9111, section 5.2.1.7), which is
// UNAVAILABLE in gRPC.
func (x *Interceptor) notCached(call *hauberk.Call) error {
	call.SetUnsent()
	call.Decide(hauberk.Decision{Rule: "only-if-cached", Verdict: hauberk.Rejected, Reason: ReasonNotCached})
	return &hauberk.Rejection{
		Code: codes.Unavailable, Reason: ReasonNotCached, Message: "Not in the cache", Cause: ErrNotCached,
	}
}
