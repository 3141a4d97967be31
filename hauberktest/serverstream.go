package hauberktest

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ServerStream is a grpc.ServerStream without a network. Its client sends a number of requests
// and accepts all responses. Use it to call streaming handlers and interceptors of grpc-go in a
// test; [Direct] does so for the test service. The zero value has no requests. Like grpc-go's
// stream, it supports one goroutine that sends and one that receives, concurrently.
type ServerStream struct {
	// Ctx is the call's context, such as one from [Context]. nil means context.Background.
	// Header and trailer go to the transport stream in Ctx, such as a [TransportStream]. They
	// are dropped if there is none.
	Ctx context.Context
	// Requests is the number of requests that are not received yet.
	Requests int
	// Decode decodes a request: it fills msg or returns an error. If it is nil, RecvMsg leaves
	// its message unchanged.
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
		_ = t.SetTrailer(md) // grpc.ServerStream returns no error here
	}
}

// SendMsg drops a response.
func (*ServerStream) SendMsg(any) error { return nil }

// RecvMsg receives a request. It returns io.EOF after the last.
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

// TransportStream records the header and the trailer of a server call without a network. Pass it
// to [Transport], or add it to the call's context with grpc.NewContextWithServerTransportStream.
// It stores copies, as grpc-go's transport stream does. In contrast to that stream, each setting
// replaces the previous one, so that a TransportStream can serve several calls in sequence. It is
// not safe for concurrent use.
type TransportStream struct {
	Header, Trailer metadata.MD
	// Status is the status that was written instead of the handler's result, for a call that
	// was ended from outside the handler, or by runtime.Goexit.
	Status *status.Status
}

var _ grpc.ServerTransportStream = (*TransportStream)(nil)

// Method returns "", since the stream belongs to no particular method.
func (*TransportStream) Method() string { return "" }

// SetHeader stores a copy of md as the header.
func (s *TransportStream) SetHeader(md metadata.MD) error {
	s.Header = metadata.Join(nil, md)
	return nil
}

// SendHeader does the same as SetHeader. The header can still be replaced.
func (s *TransportStream) SendHeader(md metadata.MD) error { return s.SetHeader(md) }

// SetTrailer stores a copy of md as the trailer.
func (s *TransportStream) SetTrailer(md metadata.MD) error {
	s.Trailer = metadata.Join(nil, md)
	return nil
}

// WriteStatus stores a status.
func (s *TransportStream) WriteStatus(st *status.Status) error {
	s.Status = st
	return nil
}
