package hauberk

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// FromServer makes interceptors of a grpc-go server one link of a chain, at its
// place in the order. Both halves are asked for, so that none is forgotten: the
// first runs for unary methods, the second for the others. [New] refuses a nil
// half; write a pass-through where a half has nothing to do. The request of a
// unary method is read when the link is reached. On a client the link fails calls
// with INTERNAL.
func FromServer(unary grpc.UnaryServerInterceptor, stream grpc.StreamServerInterceptor) Interceptor {
	return &fromServer{unary, stream}
}

type fromServer struct {
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
}

// Declare reports a missing half.
func (f *fromServer) Declare() Declaration {
	d := Declaration{Name: "grpc"}
	if f.unary == nil || f.stream == nil {
		d.Err = errors.New("FromServer needs both interceptors, unary and stream; one is nil")
	}
	return d
}

func (f *fromServer) Intercept(ctx context.Context, call *Call, next Next) error {
	switch end := call.end.(type) {
	case *serverUnary:
		return f.interceptUnary(ctx, call, next, end.srv)
	case *serverDecoded:
		return f.interceptUnary(ctx, call, next, nil)
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
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: call.method.full}
	response, err := f.unary(ctx, request, info, func(ctx context.Context, request any) (any, error) {
		call.request = request
		err := next(ctx, call)
		return call.response, err
	})
	return call.hold(response, err)
}

func (f *fromServer) interceptStream(ctx context.Context, s *serverStream, next Next) error {
	more := s.call.lazy()
	outer := &linkStream{stream: s, ctx: ctx, place: s.inside()}
	info := &grpc.StreamServerInfo{
		FullMethod:     s.call.method.full,
		IsClientStream: s.call.kind.ClientStreams(),
		IsServerStream: s.call.kind.ServerStreams(),
	}
	return f.stream(s.srv, outer, info, func(srv any, inner grpc.ServerStream) error {
		mark := outer.place.to
		mark.stream = inner
		layers := more.layers
		more.layers = slices.Concat(layers, []layer{mark})
		err := next(inner.Context(), &s.call)
		more.layers = layers
		if err != nil {
			return err
		}
		return s.sendThrough(inner)
	})
}

// sendThrough sends what inner links left to be answered through a layer's stream.
func (s *serverStream) sendThrough(inner grpc.ServerStream) error {
	msgs := s.call.takeReplies()
	if s.call.response != nil {
		msgs = []any{s.call.response}
		s.call.response = nil
	}
	for _, msg := range msgs {
		if err := inner.SendMsg(msg); err != nil {
			return err
		}
	}
	return nil
}

// linkStream is the stream that a grpc-go interceptor gets at its place.
type linkStream struct {
	stream *serverStream
	ctx    context.Context
	place  place
}

func (l *linkStream) Context() context.Context        { return l.ctx }
func (l *linkStream) SetHeader(md metadata.MD) error  { return l.stream.SetHeader(md) }
func (l *linkStream) SendHeader(md metadata.MD) error { return l.stream.SendHeader(md) }
func (l *linkStream) SetTrailer(md metadata.MD)       { l.stream.SetTrailer(md) }
func (l *linkStream) RecvMsg(msg any) error           { return l.stream.receive(l.place, msg) }

func (l *linkStream) SendMsg(msg any) error {
	if l.stream.call.kind.ServerStreams() {
		return l.stream.send(l.place, msg)
	}
	return l.stream.call.hold(msg, nil)
}

// FromClient makes interceptors of a grpc-go client one link of a chain; see
// [FromServer]. The second also runs for a unary method that is called as a
// stream. Where it returns before the call has ended, as interceptors of grpc-go
// do, the link still returns at the end.
func FromClient(unary grpc.UnaryClientInterceptor, stream grpc.StreamClientInterceptor) Interceptor {
	return &fromClient{unary, stream}
}

type fromClient struct {
	unary  grpc.UnaryClientInterceptor
	stream grpc.StreamClientInterceptor
}

// Declare reports a missing half.
func (f *fromClient) Declare() Declaration {
	d := Declaration{Name: "grpc"}
	if f.unary == nil || f.stream == nil {
		d.Err = errors.New("FromClient needs both interceptors, unary and stream; one is nil")
	}
	return d
}

func (f *fromClient) Intercept(ctx context.Context, call *Call, next Next) error {
	switch end := call.end.(type) {
	case *clientUnary:
		return f.interceptUnary(ctx, call, next, end)
	case *clientStream:
		return f.interceptStream(ctx, call, next, end)
	default:
		return errInternal("FromClient is for clients; in a server's chain use FromServer")
	}
}

func (f *fromClient) interceptUnary(ctx context.Context, call *Call, next Next, u *clientUnary) error {
	reply, err := u.replyOf(call)
	if err != nil {
		return err
	}
	invoke := func(
		ctx context.Context, method string, request, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption,
	) error {
		app, err := call.redirect(method, request, opts)
		if err != nil {
			return err
		}
		if err = next(ctx, call); err == nil {
			err = assign(reply, call.response)
		}
		if app != nil {
			app.serve(call, err)
		}
		return err
	}
	if err := f.unary(ctx, call.method.full, call.request, reply, u.cc, invoke, call.opts...); err != nil {
		return err
	}
	call.response = reply
	return nil
}

// redirect gives the call what a grpc-go interceptor made of it. Options that
// tell of the end are returned, to be served there.
func (c *Call) redirect(method string, request any, opts []grpc.CallOption) (*appOptions, error) {
	if method != c.method.full {
		if err := c.SetMethod(method); err != nil {
			return nil, err
		}
	}
	c.touch(c.where().depth())
	c.request, c.opts = request, nil
	return c.takeOptions(opts), nil
}

// interceptStream makes the interceptor's stream the wire of the links outside,
// and the links inside a stream of their own, which the interceptor opens.
func (f *fromClient) interceptStream(ctx context.Context, call *Call, next Next, outer *clientStream) error {
	return outer.attempt(ctx, call, func(a *attempt) (grpc.ClientStream, error) {
		inside := func(
			ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			return a.nested(ctx, next, method, opts)
		}
		return f.stream(a.ctx, outer.desc, outer.cc, a.method, inside, a.opts...)
	})
}

// nested starts the rest of a chain as a stream of its own, on a copy of the call.
// An interceptor that retries does so several times.
func (a *attempt) nested(
	ctx context.Context, rest Next, method string, opts []grpc.CallOption,
) (grpc.ClientStream, error) {
	a.reopened()
	s, call := a.stream, a.call
	inner := &clientStream{desc: s.desc, cc: s.cc, open: s.open, start: rest, ctx: ctx, outer: a}
	inner.call.ctx, inner.call.root = call.ctx, call.state()
	inner.call.plan, inner.call.method, inner.call.kind = call.plan, call.method, call.kind
	inner.call.side, inner.call.end = ClientSide, inner
	depth := call.where().depth()
	inner.call.moveTo(flowAt(depth, depth))
	app, err := inner.call.redirect(method, nil, opts)
	if err != nil {
		return nil, err
	}
	inner.app = app
	return inner.launch()
}
