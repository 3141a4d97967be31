package hauberk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

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
//
// The unary interceptor may call its handler on another goroutine, and return before it. The
// inner interceptors then run on, and their outcome is discarded. The stream interceptor must
// not return before its handler: give one that does, such as a limit of the time of a stream, to
// Chain.ServerOptions with grpc.ChainStreamInterceptor.
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
	case *detachedUnary:
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
	inside := &handling{call: call, next: next, at: call.nexts.depth()}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: call.method.full}
	response, err := inside.runIn(ctx, f.unary, request, info)
	return call.hold(response, err, inside.at)
}

// handling is the handler of a unary interceptor of grpc-go, which may call it on another goroutine
// and return before that has: one that limits the time of a call does. The inner interceptors
// therefore run on a copy of the call, of which nothing counts once the interceptor has returned.
type handling struct {
	call *Call
	next Next
	at   int32 // the place of next

	mu    sync.Mutex // guards what follows, and the call while the interceptor runs
	begun bool
	ended bool // the interceptor has returned
}

func (h *handling) runIn(
	ctx context.Context, unary grpc.UnaryServerInterceptor, request any, info *grpc.UnaryServerInfo,
) (any, error) {
	defer h.end()
	return unary(ctx, request, info, h.handle)
}

// handle is the handler.
func (h *handling) handle(ctx context.Context, request any) (any, error) {
	inside, err := h.begin(request)
	if err != nil {
		return nil, err
	}
	defer h.note(inside)
	err = h.next(ctx, inside)
	inside.ownHeld()
	return inside.Response(), err
}

// begin returns the copy of the call. In the meantime no interceptor runs on the call itself,
// which handlers find in their contexts.
func (h *handling) begin(request any) (*Call, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	call := h.call
	switch {
	case h.ended:
		return nil, errInternal("an interceptor of grpc-go called its handler after it had returned")
	case h.begun:
		return nil, errTwice()
	}
	h.begun = true
	call.request = request
	inside := call.copied()
	inside.received.Store(call.received.Load())
	call.nexts.set(int32(len(call.plan.entries))+1, h.at+1)
	return inside, nil
}

// note gives the call what counts of the copy, unless the interceptor has returned.
func (h *handling) note(inside *Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	inside.nexts.end()
	if h.ended {
		return
	}
	h.call.received.Store(inside.received.Load())
	if inside.leaving {
		h.call.leaving, h.call.last = true, inside.last
	}
}

func (h *handling) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.call.nexts.setDepth(h.at)
}

func (f *fromServer) interceptStream(ctx context.Context, s *serverStream, next Next) error {
	outer := &interceptorStream{stream: s, ctx: ctx, leg: s.call.leg, depth: s.call.nexts.depth()}
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
	if l.stream.call.nexts.over() {
		return errReturned()
	}
	return l.stream.sendHeader(md)
}

func (l *interceptorStream) RecvMsg(msg any) error {
	return l.stream.guarded(func() error {
		if err := l.stream.receive(l.leg, msg); err != nil {
			return err
		}
		return loadMessage(msg)
	})
}

// SendMsg works as long as SendHeader does. The one response of a method without server
// streaming is taken until the interceptor has returned.
func (l *interceptorStream) SendMsg(msg any) error {
	s := l.stream
	if s.call.nexts.over() {
		return errReturned()
	}
	return s.guarded(func() error {
		if s.call.kind.ServerStreams() {
			return s.send(l.leg, msg)
		}
		return s.hold(&l.own, msg, l.leg, l.depth)
	})
}
