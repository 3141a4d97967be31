package hauberktest

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
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
	return &clientStream{conn: c, method: method, ctx: ctx}, nil
}

func (c Conn) outcome(method string) error {
	if c.Outcome == nil {
		return nil
	}
	return c.Outcome(method)
}

// clientStream is a call of a Conn.
type clientStream struct {
	conn   Conn
	method string
	ctx    context.Context
	end    error // the result of RecvMsg after the response, or instead of it
}

func (s *clientStream) Context() context.Context   { return s.ctx }
func (*clientStream) Header() (metadata.MD, error) { return nil, nil } //nolint:nilnil // there is no header
func (*clientStream) Trailer() metadata.MD         { return nil }
func (*clientStream) CloseSend() error             { return nil }
func (*clientStream) SendMsg(any) error            { return nil }

func (s *clientStream) RecvMsg(any) error {
	if s.end != nil {
		return s.end
	}
	err := s.conn.outcome(s.method)
	s.end = err
	if err == nil {
		s.end = io.EOF
	}
	return err
}
