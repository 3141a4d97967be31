package hauberktest

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Conn is a connection to nowhere, whose calls are answered at once and on the
// goroutine that makes them: with one response, which is left as the caller made
// it, or with an error. It takes all requests, has neither header nor trailer, and
// looks at neither the context nor the call options. The zero value answers with
// OK. It may be used by many goroutines at once, if Outcome may.
type Conn struct {
	// Outcome returns how a call of a method ends, given the method's full name; nil
	// stands for OK. It runs once a call: within Invoke, or when the first response of
	// a stream is read.
	Outcome func(method string) error
}

var _ grpc.ClientConnInterface = Conn{}

// Invoke makes a unary call.
func (c Conn) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	return c.outcome(method)
}

// NewStream begins a call of another kind; it does not fail.
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
	end    error // what there is to be read after the response, or in its place
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
