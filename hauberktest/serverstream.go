package hauberktest

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ServerStream is a streaming call as a server sees it, without a network: of a
// client that sends some requests and takes all responses. It is for running
// handlers and interceptors of grpc-go by hand; [Direct] does so for the test
// service. The zero value has no requests. Like grpc-go's, it may be sent to and
// received from beside each other.
type ServerStream struct {
	// Ctx is the call's context; nil stands for context.Background. Headers and
	// trailers go to its [TransportStream], or another, and are dropped if there is
	// none.
	Ctx context.Context
	// Requests is how many requests are still to be read.
	Requests int
	// Decode is given each message that a request is to be read into, and may fail;
	// nil leaves them as they are.
	Decode func(msg any) error
}

var _ grpc.ServerStream = (*ServerStream)(nil)

// Context returns Ctx.
func (s *ServerStream) Context() context.Context {
	if s.Ctx == nil {
		return context.Background()
	}
	return s.Ctx
}

// SetHeader sets the header of the context's transport stream.
func (s *ServerStream) SetHeader(md metadata.MD) error {
	if t := grpc.ServerTransportStreamFromContext(s.Context()); t != nil {
		return t.SetHeader(md)
	}
	return nil
}

// SendHeader sends the header of the context's transport stream.
func (s *ServerStream) SendHeader(md metadata.MD) error {
	if t := grpc.ServerTransportStreamFromContext(s.Context()); t != nil {
		return t.SendHeader(md)
	}
	return nil
}

// SetTrailer sets the trailer of the context's transport stream.
func (s *ServerStream) SetTrailer(md metadata.MD) {
	if t := grpc.ServerTransportStreamFromContext(s.Context()); t != nil {
		_ = t.SetTrailer(md) // grpc.ServerStream has no one to tell
	}
}

// SendMsg drops a response.
func (*ServerStream) SendMsg(any) error { return nil }

// RecvMsg reads a request, or io.EOF when there is no other.
func (s *ServerStream) RecvMsg(msg any) error {
	if s.Requests <= 0 {
		return io.EOF
	}
	s.Requests--
	if s.Decode == nil {
		return nil
	}
	return s.Decode(msg)
}

// TransportStream keeps the header and the trailer of a call on a server that runs
// without a network: put it into the call's context with
// grpc.NewContextWithServerTransportStream. As grpc-go's, it copies what it is given
// and takes a status. Otherwise than grpc-go's it keeps only what was set last, so
// that it serves any number of calls, one after the other. It is not safe for
// concurrent use.
type TransportStream struct {
	Header, Trailer metadata.MD
	// Status is what was written in place of the handler's outcome: of calls that
	// were ended from outside, or by runtime.Goexit.
	Status *status.Status
}

var _ grpc.ServerTransportStream = (*TransportStream)(nil)

// Method returns "": the stream is of no method in particular.
func (*TransportStream) Method() string { return "" }

// SetHeader keeps a copy of a header.
func (s *TransportStream) SetHeader(md metadata.MD) error {
	s.Header = metadata.Join(nil, md)
	return nil
}

// SendHeader is SetHeader: nothing is sent, and more may be set.
func (s *TransportStream) SendHeader(md metadata.MD) error { return s.SetHeader(md) }

// SetTrailer keeps a copy of a trailer.
func (s *TransportStream) SetTrailer(md metadata.MD) error {
	s.Trailer = metadata.Join(nil, md)
	return nil
}

// WriteStatus keeps a status.
func (s *TransportStream) WriteStatus(st *status.Status) error {
	s.Status = st
	return nil
}
