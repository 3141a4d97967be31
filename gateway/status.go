package gateway

import (
	"context"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// errorOf returns the error that the chain sees of a status, with the details
// that can be read; nil for OK.
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

// statusOf returns the status for a chain's outcome. If that is the upstream's,
// the chain has not changed it and it stays as it came.
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

// isOf reports whether a status is what errorOf made of another.
func isOf(st *status.Status, upstream transport.Status) bool {
	if st.Code() != upstream.Code || st.Code() == codes.OK {
		return st.Code() == upstream.Code
	}
	return proto.Equal(st.Proto(), status.Convert(errorOf(upstream)).Proto())
}

// unavailable is a call that did not reach the upstream. The client is told no
// more than that; why stays in the error's text, for logs.
type unavailable struct{ cause error }

func (u *unavailable) Error() string {
	return "gateway: the upstream is unavailable: " + u.cause.Error()
}
func (u *unavailable) Unwrap() error { return u.cause }

func (u *unavailable) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, "the upstream is unavailable")
}

// openError returns the outcome of a call that could not be begun.
func openError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if status.Code(err) == codes.Unavailable {
		return &unavailable{err}
	}
	return err
}
