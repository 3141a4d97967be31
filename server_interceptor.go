package hauberk

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// runs reports whether a chain of the attachments already runs around the call that ctx is of: a
// server may have the chain's options and its registrar, and other chains.
func (a *attachments) runs(ctx context.Context, method string) bool {
	transport := grpc.ServerTransportStreamFromContext(ctx)
	for call := FromContext(ctx); call != nil; call = FromContext(call.ctx.Context) {
		if call.side == ServerSide && call.plan.chain.at == a && call.method.full == method &&
			grpc.ServerTransportStreamFromContext(call.ctx.Context) == transport {
			return true
		}
	}
	return false
}

// UnaryServerInterceptor returns the chain as an interceptor of grpc-go, for code
// that assembles its own options. Requests are read before it runs. It panics as
// [Chain.NewServer] does.
func (c *Chain) UnaryServerInterceptor() grpc.UnaryServerInterceptor {
	return c.attaching("UnaryServerInterceptor").newUnaryServerInterceptor()
}

func (a *attachments) newUnaryServerInterceptor() grpc.UnaryServerInterceptor {
	a.attach("UnaryServerInterceptor", ServerSide)
	return a.unaryServerInterceptor(nil)
}

// unaryServerInterceptor is UnaryServerInterceptor for a server whose calls d keeps, unless that is nil.
func (a *attachments) unaryServerInterceptor(d *drain) grpc.UnaryServerInterceptor {
	var slots sync.Map // of the server's methods
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if a.runs(ctx, info.FullMethod) {
			return handler(ctx, req)
		}
		u := &serverDecoded{srv: info.Server, handler: handler}
		u.call.init(ctx, a.serverRoute(d, &slots, methodName{full: info.FullMethod}, true), ServerSide, u)
		u.call.request = req
		u.call.received.Store(1)
		return serveUnary(&u.call)
	}
}

// StreamServerInterceptor returns the chain as an interceptor of grpc-go, for
// code that assembles its own options. It panics as [Chain.NewServer] does. On a server
// with an UnknownServiceHandler it runs for unknown methods too. If the chain authenticates
// calls, those of unknown methods that are neither authenticated nor in [Config.Public] do
// not reach that handler; they end as UNIMPLEMENTED with [ReasonNotOffered].
//
// A bidirectional method of a service that is registered with a nil implementation, and
// without [Chain.Registrar], counts as unknown: grpc-go calls it as it calls an
// UnknownServiceHandler.
func (c *Chain) StreamServerInterceptor() grpc.StreamServerInterceptor {
	return c.attaching("StreamServerInterceptor").newStreamServerInterceptor()
}

func (a *attachments) newStreamServerInterceptor() grpc.StreamServerInterceptor {
	a.attach("StreamServerInterceptor", ServerSide)
	return a.streamServerInterceptor(nil, true)
}

// streamServerInterceptor is StreamServerInterceptor for a server whose calls d keeps, unless that is nil. forwards
// is set if unknown methods have a handler that is not the chain's.
func (a *attachments) streamServerInterceptor(d *drain, forwards bool) grpc.StreamServerInterceptor {
	var slots sync.Map // of the server's methods
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if a.runs(stream.Context(), info.FullMethod) {
			return handler(srv, stream)
		}
		// grpc-go calls the handler of unknown services without an implementation, and as
		// bidirectional. A service may be registered without one, too.
		kind := KindOf(info.IsClientStream, info.IsServerStream)
		known := implemented(srv) || kind != Bidi || a.hasRegistered(info.FullMethod)
		forwarded := forwards && (!known || isDescribed(srv))
		r := a.serverRoute(d, &slots, methodName{info.FullMethod, kind, descriptorOf(srv), forwarded}, known)
		return serveStream(r, srv, stream, handler, nil)
	}
}

// serverRoute returns the route of a method in the current chain, and remembers the method if it is known.
func (a *attachments) serverRoute(d *drain, slots *sync.Map, of methodName, known bool) *route {
	if !known {
		r := a.current.Load().unservedRoute(of.full, of.kind)
		r.method.forwarded = of.forwarded
		d.track(r.method)
		return r
	}
	s, ok := slots.Load(of.full)
	if !ok {
		s, _ = slots.LoadOrStore(of.full, a.newSlot(d, of))
	}
	if s.(*slot).methodName != of { // its descriptor was learned, or has changed
		s = a.newSlot(d, of)
		slots.Store(of.full, s)
	}
	return s.(*slot).now()
}

// unknownRoute returns the route of a method that no service has.
func (c *Chain) unknownRoute(full string, kind Kind) *route {
	m := bestMethod(full, kind)
	return &route{m, c.planFor(m)}
}

// unservedRoute is unknownRoute for a server.
func (c *Chain) unservedRoute(full string, kind Kind) *route {
	r := c.unknownRoute(full, kind)
	r.method.unguarded = c.unguarded(r.method)
	return r
}

// bestMethod splits a name as grpc-go does: at the last slash, where nothing may
// be on one side of it.
func bestMethod(full string, kind Kind) *Method {
	m := &Method{full: full, kind: kind}
	rest := strings.TrimPrefix(full, "/")
	if at := strings.LastIndexByte(rest, '/'); at >= 0 {
		m.service, m.name = rest[:at], rest[at+1:]
	}
	return m
}

// errUnknown is the outcome of a call of an unknown service or method, with the text of
// grpc-go.
func (c *Chain) errUnknown(m *Method) error {
	if c.at.hasRegistered(registeredService(m.service)) {
		return status.Errorf(codes.Unimplemented, "unknown method %v for service %v", m.name, m.service)
	}
	return status.Errorf(codes.Unimplemented, "unknown service %v", m.service)
}

// serveUnknown ends a call of an unknown service or method, after the chain has
// run, with the texts of grpc-go.
func (a *attachments) serveUnknown(_ any, stream grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(stream)
	c := a.current.Load()
	end := func(any, grpc.ServerStream) error { return c.errUnknown(bestMethod(full, Bidi)) }
	if a.runs(stream.Context(), full) {
		return end(nil, stream)
	}
	return serveStream(c.unservedRoute(full, Bidi), nil, stream, end, nil)
}
