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

// detailsKey is the trailer key of an encoded google.rpc.Status. grpc-go's client keeps it
// in the metadata. grpc-go's server sends it unchanged if the status has no details. So it
// is forwarded without decoding.
const detailsKey = "grpc-status-details-bin"

// statusOf returns the status of a call from the error of RecvMsg and the trailer.
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

// mismatch is the prefix of the message of the INTERNAL status that grpc-go returns if the
// details have a different code than the status. The received status follows it:
// "…: grpc-status=NotFound, grpc-message="no", grpc-status-details-bin=…".
const mismatch = "grpc-status-details-bin mismatch: grpc-status="

// unmismatch parses the received status from such a message.
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
