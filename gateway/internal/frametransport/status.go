package frametransport

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// appendStatus adds a status to a header list, as it was received if it was.
func appendStatus(fields []hpack.HeaderField, st transport.Status) []hpack.HeaderField {
	fields = append(fields, hpack.HeaderField{Name: keyStatus, Value: strconv.FormatUint(uint64(st.Code), 10)})
	message := st.Raw.Message
	if message == "" {
		message = encodeMessage(st.Message)
	}
	if message != "" {
		fields = append(fields, hpack.HeaderField{Name: keyMessage, Value: message})
	}
	if len(st.Raw.Details) > 0 {
		for _, d := range st.Raw.Details {
			fields = append(fields, hpack.HeaderField{Name: keyDetails, Value: d})
		}
		return fields
	}
	for _, d := range st.Details {
		d = base64.RawStdEncoding.EncodeToString([]byte(d))
		fields = append(fields, hpack.HeaderField{Name: keyDetails, Value: d})
	}
	return fields
}

func statusOfContext(err error) transport.Status {
	st := status.FromContextError(err)
	return transport.Status{Code: st.Code(), Message: st.Message()}
}

// codeOfReset maps the code of RST_STREAM, as PROTOCOL-HTTP2.md does.
func codeOfReset(code http2.ErrCode) codes.Code {
	switch code {
	case http2.ErrCodeRefusedStream:
		return codes.Unavailable
	case http2.ErrCodeCancel:
		return codes.Canceled
	case http2.ErrCodeEnhanceYourCalm:
		return codes.ResourceExhausted
	case http2.ErrCodeInadequateSecurity:
		return codes.PermissionDenied
	case http2.ErrCodeStreamClosed, http2.ErrCodeHTTP11Required:
		return codes.Unknown
	default:
		return codes.Internal
	}
}

// codeOfHTTP maps the status of a response that is not one of gRPC, as
// http-grpc-status-mapping.md does.
func codeOfHTTP(code int) codes.Code {
	switch code {
	case http.StatusBadRequest:
		return codes.Internal
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.Unimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.Unavailable
	default:
		return codes.Unknown
	}
}

// expired reports whether the deadline of a call is reached. The upstream's timer may fire a
// little before that of the call.
func expired(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return ok && time.Until(at) < time.Millisecond
}

// statusOfError returns the status of a call to the upstream that ended without one.
func statusOfError(ctx context.Context, err error) transport.Status {
	if ctx.Err() != nil {
		return statusOfContext(ctx.Err())
	}
	if failed, ok := errors.AsType[*failure](err); ok {
		err = failed.error
	}
	if st, ok := status.FromError(err); ok {
		return transport.Status{Code: st.Code(), Message: st.Message()}
	}
	if reset, ok := errors.AsType[h2.ResetError](err); ok {
		if reset.Remote && reset.Code == http2.ErrCodeCancel && expired(ctx) {
			return statusOfContext(context.DeadlineExceeded)
		}
		if !reset.Remote {
			return transport.Status{
				Code: codes.Internal, Message: "gateway: the upstream broke the protocol: " + err.Error(),
			}
		}
		return transport.Status{
			Code:    codeOfReset(reset.Code),
			Message: fmt.Sprintf("gateway: the upstream reset the stream with %s", reset.Code),
		}
	}
	return transport.Status{Code: codes.Unavailable, Message: "gateway: the connection to the upstream was lost"}
}
