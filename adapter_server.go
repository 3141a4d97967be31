package hauberk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// FromServer makes one interceptor of a chain from two interceptors of a grpc-go server:
// unary runs for unary methods, stream for the others. [New] reports an error if either
// is nil: use [PassUnaryServer] or [PassStreamServer] for the half that has nothing to
// do. The interceptor works only on servers.
//
// The request of a unary method is read when the chain reaches the interceptor. If the
// type of the request is not known, the call ends with INTERNAL. An example is a service
// without generated code that is registered with a [Registrar].
//
// The interceptor may call its handler once. A second call returns INTERNAL, since a server
// runs the inner interceptors of a chain once. Give an interceptor that calls its handler
// again, for example after a failed transaction, to [Chain.ServerOptions] with
// grpc.ChainUnaryInterceptor.
func FromServer(unary grpc.UnaryServerInterceptor, stream grpc.StreamServerInterceptor) Interceptor {
	return &fromServer{unary, stream}
}

type fromServer struct {
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
}

// Declare reports a missing half.
func (f *fromServer) Declare() Declaration {
	return declareAdapter("FromServer", OnlyServers, f.unary == nil, f.stream == nil)
}

// declareAdapter is the Declaration of what a constructor made of two interceptors.
func declareAdapter(constructor string, sides Sides, noUnary, noStream bool) Declaration {
	d := Declaration{Name: "grpc", Repeatable: true, Sides: sides}
	side := strings.TrimPrefix(constructor, "From")
	if noUnary {
		d.Err = fmt.Errorf("%s has no unary interceptor; use hauberk.PassUnary%s if unary calls need none",
			constructor, side)
	}
	if noStream {
		d.Err = errors.Join(d.Err, fmt.Errorf(
			"%s has no stream interceptor; use hauberk.PassStream%s if streams need none", constructor, side))
	}
	return d
}

// PassUnaryServer is a unary interceptor that does nothing, for [FromServer].
func PassUnaryServer(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(ctx, req)
}

// PassStreamServer is a stream interceptor that does nothing, for [FromServer].
func PassStreamServer(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, stream)
}

func (f *fromServer) Intercept(ctx context.Context, call *Call, next Next) error {
	switch end := call.end.(type) {
	case *serverUnary:
		return f.interceptUnary(ctx, call, next, end.srv)
	case *serverDecoded:
		return f.interceptUnary(ctx, call, next, end.srv)
	case *serverStream:
		return f.interceptStream(ctx, end, next)
	default:
		return errInternal("FromServer is for servers; in a client's chain use FromClient")
	}
}

func (f *fromServer) interceptUnary(ctx context.Context, call *Call, next Next, srv any) error {
	request, err := call.Read(ctx)
	if err != nil {
		return err
	}
	at := call.depth.Load()
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: call.method.full}
	response, err := f.unary(ctx, request, info, func(ctx context.Context, request any) (any, error) {
		call.request = request
		err := next(ctx, call)
		call.ownHeld()
		return call.Response(), err
	})
	return call.hold(response, err, at)
}

func (f *fromServer) interceptStream(ctx context.Context, s *serverStream, next Next) error {
	outer := &interceptorStream{stream: s, ctx: ctx, leg: s.call.leg, depth: s.call.depth.Load()}
	info := &grpc.StreamServerInfo{
		FullMethod:     s.call.method.full,
		IsClientStream: s.call.kind.ClientStreams(),
		IsServerStream: s.call.kind.ServerStreams(),
	}
	defer s.takeResponse(&outer.own, true)
	return f.stream(s.srv, outer, info, func(srv any, inner grpc.ServerStream) error {
		s.takeResponse(&outer.own, false)
		s.srv = srv
		s.call.draft().foreign = &foreign{stream: inner}
		if err := next(&streamContext{inner.Context(), inner}, &s.call); err != nil {
			return err
		}
		return s.sendHeldThrough(inner)
	})
}

// streamContext is the context of the stream that an interceptor of grpc-go passes on, as
// it is when the inner interceptors begin.
type streamContext struct {
	context.Context

	stream grpc.ServerStream
}

// current returns what the Context method of a stream returns: the context that next was
// called with. If no interceptor has changed it since, it is that of the stream of a
// grpc-go interceptor, which may change with each message.
func (s *serverStream) current(ctx context.Context) context.Context {
	c, ok := ctx.(*streamContext)
	if !ok {
		return ctx
	}
	_ = s.guarded(func() error { // which keeps the error
		ctx = c.stream.Context() //nolint:fatcontext // it is not nested
		return nil
	})
	return ctx
}

// sendHeldThrough sends what inner interceptors left to be answered through the
// stream of a grpc-go interceptor.
func (s *serverStream) sendHeldThrough(inner grpc.ServerStream) error {
	s.call.ownHeld()
	msgs := s.call.takeReplies()
	if s.call.response != nil {
		msgs = []any{s.call.Response()}
		s.call.response = nil
	}
	for _, msg := range msgs {
		if err := inner.SendMsg(msg); err != nil {
			return err
		}
	}
	return nil
}

// interceptorStream is the stream that a grpc-go interceptor gets at its place.
type interceptorStream struct {
	stream *serverStream
	ctx    context.Context
	leg    *leg  // around the interceptor
	depth  int32 // of the interceptor
	own    response
}

func (l *interceptorStream) Context() context.Context       { return l.stream.current(l.ctx) }
func (l *interceptorStream) SetHeader(md metadata.MD) error { return l.stream.SetHeader(md) }
func (l *interceptorStream) SetTrailer(md metadata.MD)      { l.stream.SetTrailer(md) }

// SendHeader works until the chain has returned, also if the handler has returned.
func (l *interceptorStream) SendHeader(md metadata.MD) error {
	if l.stream.call.over.Load() {
		return errReturned()
	}
	return l.stream.sendHeader(md)
}

func (l *interceptorStream) RecvMsg(msg any) error {
	return l.stream.guarded(func() error { return l.stream.receive(l.leg, msg) })
}

// SendMsg works as long as SendHeader does. The one response of a method without server
// streaming is taken until the interceptor has returned.
func (l *interceptorStream) SendMsg(msg any) error {
	s := l.stream
	if s.call.over.Load() {
		return errReturned()
	}
	return s.guarded(func() error {
		if s.call.kind.ServerStreams() {
			return s.send(l.leg, msg)
		}
		return s.hold(&l.own, msg, l.leg, l.depth)
	})
}
