package hauberk

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// untilDone returns a handler of streams whose contexts also end when down is done. Such a
// stream then ends with UNAVAILABLE, unless its client has cancelled it.
func untilDone(down context.Context, handler grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) error {
		ctx, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(down, cancel)()
		err := handler(srv, &endingStream{stream, ctx})
		if down.Err() != nil && stream.Context().Err() == nil && CodeOf(err) == codes.Canceled {
			return status.Error(codes.Unavailable, "the server is shutting down")
		}
		return err
	}
}

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream

	ctx context.Context
}

// Context returns the other context.
func (s *endingStream) Context() context.Context { return s.ctx }
