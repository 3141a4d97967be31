package grpctransport

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// detailsKey is the trailer that holds a google.rpc.Status. grpc-go leaves it
// among the metadata on the way in, and on the way out sends it as it is when the
// status has no details: so it passes unread.
const detailsKey = "grpc-status-details-bin"

// statusOf returns how a call ended from what grpc-go's client says of it: the
// error that RecvMsg returned, and the trailer.
func statusOf(err error, trailer metadata.MD) transport.Status {
	details := trailer[detailsKey]
	if errors.Is(err, io.EOF) {
		return transport.Status{Details: details}
	}
	st := status.Convert(err)
	if code, message, ok := unmismatch(st, details); ok {
		return transport.Status{Code: code, Message: message, Details: details}
	}
	return transport.Status{Code: st.Code(), Message: st.Message(), Details: details}
}

// mismatch begins the message of the INTERNAL status that grpc-go puts in the
// place of one whose details name another code. The status that was sent follows:
// "…: grpc-status=NotFound, grpc-message="no", grpc-status-details-bin=…".
const mismatch = "grpc-status-details-bin mismatch: grpc-status="

// unmismatch reads the status that was sent out of such a message.
func unmismatch(st *status.Status, details []string) (codes.Code, string, bool) {
	rest, ok := strings.CutPrefix(st.Message(), mismatch)
	if !ok || len(details) != 1 || st.Code() != codes.Internal {
		return 0, "", false
	}
	name, rest, _ := strings.Cut(rest, ", grpc-message=")
	code, ok := codeNamed(name)
	quoted, err := strconv.QuotedPrefix(rest)
	if !ok || err != nil {
		return 0, "", false
	}
	message, err := strconv.Unquote(quoted)
	return code, message, err == nil
}

// codeNamed is the inverse of codes.Code.String.
func codeNamed(name string) (codes.Code, bool) {
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		if c.String() == name {
			return c, true
		}
	}
	var n uint32
	_, err := fmt.Sscanf(name, "Code(%d)", &n)
	return codes.Code(n), err == nil
}
