// Package instantstream has streams of clients without a network: hauberktest and policytest use them.
package instantstream

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// New returns a stream that accepts all requests and answers with one response, which it leaves unchanged, or with an
// error. It has neither header nor trailer. outcome returns the error, or nil for a response and OK. It runs once, in
// the first RecvMsg.
func New(ctx context.Context, outcome func() error) grpc.ClientStream {
	return &stream{ctx: ctx, outcome: outcome}
}

type stream struct {
	ctx     context.Context //nolint:containedctx // Context returns it
	outcome func() error
	end     error // the result of RecvMsg after the response, or instead of it
}

func (s *stream) Context() context.Context   { return s.ctx }
func (*stream) Header() (metadata.MD, error) { return nil, nil } //nolint:nilnil // there is no header
func (*stream) Trailer() metadata.MD         { return nil }
func (*stream) CloseSend() error             { return nil }
func (*stream) SendMsg(any) error            { return nil }

func (s *stream) RecvMsg(any) error {
	if s.end != nil {
		return s.end
	}
	err := s.outcome()
	s.end = err
	if err == nil {
		s.end = io.EOF
	}
	return err
}
