package hauberk

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// detachedStream is the stream of a handler of streams on a copy of Call.Detach, such as that of a service without
// generated code, or of package gateway. It has the request that was read, and takes one response.
type detachedStream struct {
	ctx  context.Context
	call *Call // the copy

	mu       sync.Mutex // guards what follows
	received bool       // the handler has the request
	over     bool       // the handler has returned
	response any        // nil before
	err      error      // why the response is not valid
}

// runDetached runs a handler of streams with the request of a copy, and returns its response.
func runDetached(ctx context.Context, call *Call, srv any, handler grpc.StreamHandler) (any, error) {
	s := &detachedStream{ctx: ctx, call: call}
	defer s.end()
	err := handler(srv, s)
	s.end()
	switch {
	case err != nil:
		return nil, err
	case s.err != nil:
		return nil, s.err
	case s.response == nil:
		return nil, errInternal("the handler of %s has sent no response", call.method.full)
	default:
		return s.response, nil
	}
}

// end ends the use of the stream by goroutines that the handler has left.
func (s *detachedStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

func (s *detachedStream) Context() context.Context { return s.ctx }

func (s *detachedStream) record() *responseRecord { return s.call.more.Load().record }

func (s *detachedStream) SetHeader(md metadata.MD) error  { return s.record().SetHeader(md) }
func (s *detachedStream) SendHeader(md metadata.MD) error { return s.record().SendHeader(md) }
func (s *detachedStream) SetTrailer(md metadata.MD)       { _ = s.record().SetTrailer(md) }

// RecvMsg copies the request, and then returns io.EOF.
func (s *detachedStream) RecvMsg(msg any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return errReturned()
	case s.received:
		return io.EOF
	}
	s.received = true
	return assign(msg, s.call.request)
}

// SendMsg keeps a copy of the response: the handler may use its message again.
func (s *detachedStream) SendMsg(msg any) error {
	if err := s.ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	if msg = cloneMessage(msg); msg == nil {
		msg = emptyResponse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return errReturned()
	case s.response != nil:
		s.err = errInternal("the handler of %s has sent several responses", s.call.method.full)
		return s.err
	}
	s.response = msg
	return nil
}
