package hauberk

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// runs reports whether the chain already runs around the call that ctx is of: a
// server may have the chain's options and its registrar, and other chains beside.
func (c *Chain) runs(ctx context.Context, method string) bool {
	transport := grpc.ServerTransportStreamFromContext(ctx)
	for call := FromContext(ctx); call != nil; call = FromContext(call.ctx.Context) {
		if call.side == ServerSide && call.plan.chain == c && call.method.full == method &&
			grpc.ServerTransportStreamFromContext(call.ctx.Context) == transport {
			return true
		}
	}
	return false
}

// UnaryServerInterceptor returns the chain as an interceptor of grpc-go, for code
// that assembles its own options. Requests are read before it runs.
func (c *Chain) UnaryServerInterceptor() grpc.UnaryServerInterceptor {
	c.check("UnaryServerInterceptor")
	var routes sync.Map // of the server's methods
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if c.runs(ctx, info.FullMethod) {
			return handler(ctx, req)
		}
		r, err := c.serverRoute(&routes, info.FullMethod, Unary, true)
		if err != nil {
			return nil, status.Error(codes.Unimplemented, err.Error())
		}
		u := &serverDecoded{handler: handler}
		u.call.init(ctx, r, ServerSide, u)
		u.call.request = req
		u.call.received.Store(1)
		return serveUnary(&u.call)
	}
}

// StreamServerInterceptor returns the chain as an interceptor of grpc-go, for
// code that assembles its own options. On a server with an
// UnknownServiceHandler it runs for unknown methods too.
func (c *Chain) StreamServerInterceptor() grpc.StreamServerInterceptor {
	c.check("StreamServerInterceptor")
	var routes sync.Map // of the server's methods
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if c.runs(stream.Context(), info.FullMethod) {
			return handler(srv, stream)
		}
		// grpc-go calls the handler of unknown services without an implementation.
		known := srv != nil
		r, err := c.serverRoute(&routes, info.FullMethod, KindOf(info.IsClientStream, info.IsServerStream), known)
		if err != nil {
			return status.Error(codes.Unimplemented, err.Error())
		}
		return c.serveStream(r, srv, stream, handler, nil)
	}
}

// serverRoute returns the route of a method, and remembers it if it is known.
func (c *Chain) serverRoute(routes *sync.Map, full string, kind Kind, known bool) (*route, error) {
	if !known {
		return c.unknownRoute(full, kind), nil
	}
	if r, ok := routes.Load(full); ok {
		return r.(*route), nil
	}
	r, err := c.newRoute(full, kind, true)
	if err == nil {
		routes.Store(full, r)
	}
	return r, err
}

// unknownRoute returns the route of a method that no service has. grpc-go splits
// names at the last slash, and dispatches those with nothing on one side of it.
func (c *Chain) unknownRoute(full string, kind Kind) *route {
	m := &Method{full: full, kind: kind}
	rest := strings.TrimPrefix(full, "/")
	if at := strings.LastIndexByte(rest, '/'); at >= 0 {
		m.service, m.name = rest[:at], rest[at+1:]
	}
	return &route{m, c.planFor(m)}
}

// serveUnknown ends a call of an unknown service or method, after the chain has
// had its say.
func (c *Chain) serveUnknown(_ any, stream grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(stream)
	end := func(any, grpc.ServerStream) error {
		return status.Errorf(codes.Unimplemented, "unknown service or method %s", full)
	}
	if c.runs(stream.Context(), full) {
		return end(nil, stream)
	}
	return c.serveStream(c.unknownRoute(full, Bidi), nil, stream, end, nil)
}
