package gateway

import (
	"context"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// errorOf returns a status as the error that the chain sees, with the details that can be
// decoded. It returns nil for OK.
func errorOf(st transport.Status) error {
	if st.Code == codes.OK {
		return nil
	}
	p := &spb.Status{Code: int32(st.Code), Message: st.Message}
	if len(st.Details) == 1 {
		var details spb.Status
		if proto.Unmarshal([]byte(st.Details[0]), &details) == nil {
			p.Details = details.GetDetails()
		}
	}
	return status.FromProto(p).Err()
}

// statusOf returns the status for a chain's outcome. If the chain has not changed the
// upstream's status, it returns that, with its details byte for byte.
func statusOf(err error, upstream *transport.Status) transport.Status {
	st := status.Convert(err)
	if upstream != nil && isOf(st, *upstream) {
		return *upstream
	}
	out := transport.Status{Code: st.Code(), Message: st.Message()}
	if p := st.Proto(); len(p.GetDetails()) > 0 {
		if raw, err := proto.Marshal(p); err == nil {
			out.Details = []string{string(raw)}
		}
	}
	return out
}

// isOf reports whether a status is equal to that of errorOf(upstream).
func isOf(st *status.Status, upstream transport.Status) bool {
	if st.Code() != upstream.Code || st.Code() == codes.OK {
		return st.Code() == upstream.Code
	}
	return proto.Equal(st.Proto(), status.Convert(errorOf(upstream)).Proto())
}

// unavailable is the error of a call that did not reach the upstream. The client receives
// a fixed message. The error's text has the cause, for logs.
type unavailable struct{ cause error }

func (u *unavailable) Error() string {
	return "gateway: the upstream is unavailable: " + u.cause.Error()
}
func (u *unavailable) Unwrap() error { return u.cause }

func (u *unavailable) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, "the upstream is unavailable")
}

// openError returns the outcome of a call that the gateway could not start.
func openError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if status.Code(err) == codes.Unavailable {
		return &unavailable{err}
	}
	return err
}
