package policytest

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/instantstream"
)

// upstream is a connection to a service with all methods, which ends calls with given codes. One goroutine after
// another uses it, except for hedged calls: mu of runner guards it then.
type upstream struct{ *runner }

var _ grpc.ClientConnInterface = upstream{}

// next returns the status of a call that reaches the service.
func (u upstream) next() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	code := codes.OK
	if n := len(u.codes); n > 0 {
		code = u.codes[min(u.reached, n-1)]
	}
	u.reached++
	u.attempts++
	if code == codes.OK {
		return nil
	}
	return status.Error(code, "by the service")
}

// Invoke makes a unary call.
func (u upstream) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return u.next()
}

// NewStream begins a streaming call.
func (u upstream) NewStream(
	ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return instantstream.New(ctx, u.next), nil
}

// exchange makes a call of a method with one request, and reads it to its end.
func exchange(
	ctx context.Context, conn grpc.ClientConnInterface, method string, kind hauberk.Kind, req, resp any,
) error {
	if kind == hauberk.Unary {
		return conn.Invoke(ctx, method, req, resp)
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, method)
	if err != nil {
		return err
	}
	if err = stream.SendMsg(req); err == nil {
		err = stream.CloseSend()
	}
	if err != nil && err != io.EOF { // RecvMsg has the status
		return err
	}
	for err = stream.RecvMsg(resp); err == nil && kind.ServerStreams(); {
		err = stream.RecvMsg(resp)
	}
	if err == io.EOF {
		return nil
	}
	return err
}
