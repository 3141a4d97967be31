package serving

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// The errors that errors.Is finds.
var (
	// ErrNotAccepted is in the rejections of calls, in this process, and the cause of the contexts of streams
	// that were ended.
	ErrNotAccepted = errors.New("the state of the server does not accept the call")
	// ErrUnknownState is in the errors of [Interceptor.Set].
	ErrUnknownState = errors.New("unknown state")
)

// The default reasons of rejections ([hauberk.Reason]), on both sides. That of another state is "SERVER_" and its
// name. The metadata of the google.rpc.ErrorInfo have the state.
const (
	ReasonStarting    = "SERVER_STARTING"
	ReasonReadOnly    = "SERVER_READ_ONLY"
	ReasonMaintenance = "SERVER_MAINTENANCE"
	ReasonDraining    = "SERVER_DRAINING"
)

// makeRejection makes the rejection of calls in a state.
func (s *state) makeRejection() *hauberk.Rejection {
	r := &hauberk.Rejection{
		Code: s.Code, Reason: s.Reason, Message: s.Message, RetryAfter: s.RetryAfter,
		Metadata: map[string]string{"state": string(s.name)}, Cause: ErrNotAccepted,
	}
	if r.Code == codes.OK {
		r.Code = codes.Unavailable
	}
	r.Reason = cmp.Or(r.Reason, "SERVER_"+strings.ToUpper(strings.ReplaceAll(string(s.name), "-", "_")))
	r.Message = cmp.Or(r.Message, fmt.Sprintf("The server is in the state %s", s.name))
	return r
}

// reject records and returns the rejection of a call.
func (s *state) reject(call *hauberk.Call, ended bool) error {
	if ended {
		s.counts.ended.Add(1)
	} else {
		s.counts.rejected.Add(1)
	}
	call.Decide(hauberk.Decision{Rule: s.rule(), Verdict: hauberk.Rejected, Reason: s.rejection.Reason})
	return s.rejection
}

func (s *state) rule() string { return "state " + string(s.name) }
