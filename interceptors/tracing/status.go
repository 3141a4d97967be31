package tracing

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// isError reports whether a code is an error on a side, according to the semantic conventions for
// gRPC: on a client all codes except OK, on a server those that the server causes.
func isError(side hauberk.Side, c codes.Code) bool {
	if side == hauberk.ClientSide {
		return c != codes.OK
	}
	switch c {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// carrier is an error with a status.
type carrier interface {
	error
	GRPCStatus() *status.Status
}

// description returns the message of an error's status. For an error without a status it returns no
// more than its code says. The text of such an error and the causes of an error with a status may
// contain secrets and belong to logs.
func description(err error) string {
	if c, ok := errors.AsType[carrier](err); ok {
		if st := c.GRPCStatus(); st.Code() != codes.OK {
			return clean(st.Message(), maxDescription)
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded.Error()
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	default:
		return "unknown error"
	}
}

// reasonOf returns the reason of a rejection, or "". On a server an error with a reason that a handler
// passes on from another server is not a rejection.
func reasonOf(side hauberk.Side, err error) string {
	if err == nil {
		return ""
	}
	if side == hauberk.ServerSide && hauberk.RejectionOf(err) == nil {
		return ""
	}
	return clean(hauberk.Reason(err), maxReason)
}

// clean returns s in valid UTF-8, cut to limit bytes before replacement characters are added. An
// exporter would lose all spans of a batch for one text that is not UTF-8.
func clean(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
