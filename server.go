package hauberk

import (
	"context"
	"net"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Limits that NewServer and ServerOptions set where grpc-go has none worth the
// name; options given by the caller come later and win.
const (
	defaultMaxStreams    = 100      // per connection; grpc-go: no limit
	defaultMaxHeaderList = 16 << 10 // bytes; grpc-go: 16 MiB
)

// Server is a grpc-go server whose calls all pass a chain.
type Server struct {
	*grpc.Server

	chain    *Chain
	register *Registrar
}

// NewServer makes a grpc-go server whose calls all pass the chain, those of
// unknown services and methods too; these end as UNIMPLEMENTED once the chain
// has let them pass. Register services on the result. The chain runs before a
// request is read.
//
// opts are grpc-go's own. Interceptors among them run inside the chain, except
// one given with grpc.StreamInterceptor, which runs outside. A connection may
// have 100 calls at a time and header lists of 16 KiB unless opts say otherwise.
func (c *Chain) NewServer(opts ...grpc.ServerOption) *Server {
	c.check("NewServer")
	s := &Server{Server: grpc.NewServer(c.ServerOptions(opts...)...), chain: c}
	s.register = c.Registrar(s.Server)
	return s
}

// RegisterService registers a service whose calls pass the chain. It is called by
// generated code, before Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.register.RegisterService(desc, impl)
}

// Serve serves connections of a listener until Stop or GracefulStop. If the chain
// authenticates calls, but not those of every method, it serves none and returns
// the error of [Coverage.Err].
func (s *Server) Serve(lis net.Listener) error {
	if err := s.chain.Coverage(s.GetServiceInfo()).Err(); err != nil {
		_ = lis.Close()
		return err
	}
	return s.Server.Serve(lis)
}

// ServerOptions returns the options for a grpc-go server whose calls pass the
// chain, followed by opts. Register its services with [Chain.Registrar]; without
// that, the requests of unary methods are read before the chain runs, as with any
// interceptor of grpc-go. See [Chain.NewServer] for the limits that are set.
func (c *Chain) ServerOptions(opts ...grpc.ServerOption) []grpc.ServerOption {
	c.check("ServerOptions")
	return append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(c.UnaryServerInterceptor()),
		grpc.ChainStreamInterceptor(c.StreamServerInterceptor()),
		grpc.UnknownServiceHandler(c.serveUnknown),
		grpc.MaxConcurrentStreams(defaultMaxStreams),
		grpc.MaxHeaderListSize(defaultMaxHeaderList),
	}, opts...)
}

// Registrar registers services so that their calls pass a chain.
type Registrar struct {
	chain *Chain
	srv   grpc.ServiceRegistrar
}

// Registrar returns a registrar in front of another, a *grpc.Server, an xDS
// server or any other with RegisterService, so that the calls of what is
// registered pass the chain before their requests are read:
//
//	pb.RegisterCartServer(chain.Registrar(srv), impl)
//
// The server's own unary interceptors run inside the chain, its own stream
// interceptors outside. Unknown methods pass the chain only on a server that has
// [Chain.ServerOptions].
func (c *Chain) Registrar(srv grpc.ServiceRegistrar) *Registrar {
	c.check("Registrar")
	switch inner := srv.(type) {
	case nil:
		panic("hauberk: Chain.Registrar in front of a nil server")
	case *Server:
		if inner.chain == c {
			return inner.register
		}
	case *Registrar:
		if inner.chain == c {
			return inner
		}
	}
	return &Registrar{chain: c, srv: srv}
}

// RegisterService registers a service whose calls pass the chain.
func (r *Registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	wrapped := *desc
	wrapped.Methods = slices.Clone(desc.Methods)
	wrapped.Streams = slices.Clone(desc.Streams)
	for i := range wrapped.Methods {
		m := &wrapped.Methods[i]
		m.Handler = r.chain.wrapUnary(desc, m)
	}
	for i := range wrapped.Streams {
		s := &wrapped.Streams[i]
		s.Handler = r.chain.wrapStream(desc, s)
	}
	r.srv.RegisterService(&wrapped, impl)
}

// GetServiceInfo returns what the server behind has registered, for reflection;
// nil if it does not tell.
func (r *Registrar) GetServiceInfo() map[string]grpc.ServiceInfo {
	if s, ok := r.srv.(interface {
		GetServiceInfo() map[string]grpc.ServiceInfo
	}); ok {
		return s.GetServiceInfo()
	}
	return nil
}

func (c *Chain) wrapUnary(desc *grpc.ServiceDesc, m *grpc.MethodDesc) grpc.MethodHandler {
	route := c.mustRoute("/"+desc.ServiceName+"/"+m.MethodName, Unary)
	request := requestType(desc, m.MethodName, 1)
	handler := m.Handler
	return func(srv any, ctx context.Context, dec func(any) error, own grpc.UnaryServerInterceptor) (any, error) {
		u := &serverUnary{srv: srv, handler: handler, dec: dec, own: own, request: request}
		u.call.init(ctx, route, ServerSide, u)
		return u.serve()
	}
}

func (c *Chain) wrapStream(desc *grpc.ServiceDesc, s *grpc.StreamDesc) grpc.StreamHandler {
	route := c.mustRoute("/"+desc.ServiceName+"/"+s.StreamName, kindOfStream(s))
	request := requestType(desc, s.StreamName, 0)
	handler := s.Handler
	return func(srv any, stream grpc.ServerStream) error {
		if c.runs(stream.Context(), route.method.full) {
			return handler(srv, stream)
		}
		return c.serveStream(route, srv, stream, handler, request)
	}
}

func (c *Chain) mustRoute(full string, kind Kind) *route {
	r, err := c.newRoute(full, kind, true)
	if err != nil {
		panic("hauberk: RegisterService: " + err.Error())
	}
	return r
}

func (c *Call) init(ctx context.Context, r *route, side Side, end terminal) {
	c.ctx = callContext{ctx, c}
	c.method, c.plan, c.side, c.end = r.method, r.plan, side, end
}

// requestType finds the type of a method's request in the service's Go
// interface; nil where the service was not generated.
func requestType(desc *grpc.ServiceDesc, method string, argument int) reflect.Type {
	t := reflect.TypeOf(desc.HandlerType)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Interface {
		return nil
	}
	m, ok := t.Elem().MethodByName(method)
	if !ok || m.Type.NumIn() <= argument || m.Type.In(argument).Kind() != reflect.Pointer {
		return nil
	}
	return m.Type.In(argument).Elem()
}

// runs reports whether the chain already runs around the call that ctx is of: a
// server may have the chain's options and its registrar.
func (c *Chain) runs(ctx context.Context, method string) bool {
	call := FromContext(ctx)
	return call != nil && call.side == ServerSide && call.plan.chain == c && call.method.full == method &&
		grpc.ServerTransportStreamFromContext(ctx) == grpc.ServerTransportStreamFromContext(call.ctx.Context)
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
	if r, ok := routes.Load(full); ok {
		return r.(*route), nil
	}
	r, err := c.newRoute(full, kind, known)
	if err == nil && known {
		routes.Store(full, r)
	}
	return r, err
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
	r, err := c.newRoute(full, Bidi, false)
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	return c.serveStream(r, nil, stream, end, nil)
}
