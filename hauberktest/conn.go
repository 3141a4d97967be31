package hauberktest

import (
	"context"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/internal/instantstream"
)

// Conn is a client connection without a network. Each call ends immediately, on the caller's
// goroutine, with one response or an error. Conn accepts all requests, leaves the response
// message unchanged, and returns neither header nor trailer. It ignores the context and the
// call options. Calls of the zero value end with OK. Conn is safe for concurrent use if Outcome
// is.
type Conn struct {
	// Outcome returns the error of a call, or nil for OK, given the method's full name. It
	// runs once for each call: in Invoke, or in the first RecvMsg of a stream. A nil Outcome
	// means OK.
	Outcome func(method string) error
}

var _ grpc.ClientConnInterface = Conn{}

// Invoke makes a unary call.
func (c Conn) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	return c.outcome(method)
}

// NewStream begins a streaming call. It never fails.
func (c Conn) NewStream(
	ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return instantstream.New(ctx, func() error { return c.outcome(method) }), nil
}

func (c Conn) outcome(method string) error {
	if c.Outcome == nil {
		return nil
	}
	return c.Outcome(method)
}
