package hauberk

import (
	"context"
	"reflect"
	"runtime"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"
)

// The limits of [ServerLimits].
const (
	DefaultMaxConcurrentStreams = 100      // calls at a time on one connection; grpc-go: no limit
	DefaultMaxHeaderListSize    = 64 << 10 // bytes; grpc-go: 16 MiB
)

// ServerLimits returns options for servers that face untrusted callers. A connection may
// have DefaultMaxConcurrentStreams calls at a time; further calls wait at the client. A
// header list, which is the metadata of a call, may have DefaultMaxHeaderListSize, as
// HTTP/2 counts it. Put the options before your own, which then win:
//
//	srv := chain.NewServer(append(hauberk.ServerLimits(), opts...)...)
//
// A client of grpc-go does not send a larger header list, and its call ends with INTERNAL.
// If another client sends one, grpc-go closes the connection, with all calls on it. A
// connection of a proxy has the calls of many callers, so that one of them could end the
// calls of the others. The limit is above the default of Envoy, 60 KiB and 100 headers, for
// this reason. If you set a lower one, set a lower one in the proxy first
// (docs/adr/0015).
//
// A chain does not set the limits: a client with a hundred open streams would wait without
// an error.
func ServerLimits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(DefaultMaxConcurrentStreams),
		grpc.MaxHeaderListSize(DefaultMaxHeaderListSize),
	}
}

// Server is a grpc-go server whose calls all pass a chain. The zero value is not usable:
// make servers with [Chain.NewServer].
type Server struct {
	*grpc.Server

	chain    *Chain
	register *Registrar
	web      webCalls
	drain    *drain
}

// NewServer makes a grpc-go server whose calls all pass the chain. Register services on
// the result. The chain runs before a request is read. Calls of unknown services and
// methods pass the chain too, and then end with UNIMPLEMENTED.
//
// opts are grpc-go's own. Interceptors among them run inside the chain, except one given
// with grpc.StreamInterceptor, which runs outside. The server's limits stay those of
// grpc-go; see [ServerLimits] for servers that face untrusted callers.
//
// NewServer panics if the chain is nil or has an interceptor that works only on clients,
// which [Chain.Lint] reports.
func (c *Chain) NewServer(opts ...grpc.ServerOption) *Server {
	c.attach("NewServer", ServerSide)
	d := newDrain(c.drain)
	c.keepDrain(d)
	s := &Server{Server: grpc.NewServer(c.serverOptions(d, opts)...), chain: c, drain: d}
	s.register = c.Registrar(s.Server)
	s.register.drain = d
	return s
}

// RegisterService registers a service whose calls pass the chain. It is called by
// generated code, before Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if err := s.check("RegisterService"); err != nil {
		panic(err.Error())
	}
	s.register.RegisterService(desc, impl)
}

// ServerOptions returns the options for a grpc-go server whose calls pass the chain,
// followed by opts. Register its services with [Chain.Registrar]. Without that, the
// requests of unary methods are read before the chain runs, as with any interceptor of
// grpc-go.
//
// Unless opts set it, the options also set grpc.NumStreamWorkers: calls run on goroutines
// that the server keeps. State that a handler leaves on its goroutine, such as labels of
// runtime/pprof, is visible in later calls on that goroutine. grpc.NewServer starts the
// goroutines. Only Stop and GracefulStop end them, also if the server never served.
// grpc.NumStreamWorkers(0) among opts disables them.
//
// It panics as [Chain.NewServer] does.
func (c *Chain) ServerOptions(opts ...grpc.ServerOption) []grpc.ServerOption {
	c.attach("ServerOptions", ServerSide)
	return c.serverOptions(nil, opts)
}

// serverOptions is ServerOptions for a server whose calls d keeps, unless that is nil.
func (c *Chain) serverOptions(d *drain, opts []grpc.ServerOption) []grpc.ServerOption {
	own := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(c.unaryServerInterceptor(d)),
		grpc.ChainStreamInterceptor(c.streamServerInterceptor(d)),
		grpc.UnknownServiceHandler(c.serveUnknown),
		grpc.NumStreamWorkers(streamWorkers()),
	}
	if h := c.StatsHandler(ServerSide); h != nil {
		own = append(own, grpc.StatsHandler(h))
	}
	return append(own, opts...)
}

// streamWorkers is how many goroutines a server keeps for its calls. A chain is
// deep for the small stack of a new goroutine, and growing that costs more CPU
// than the chain itself (docs/adr/0006). Calls beyond them get new goroutines.
func streamWorkers() uint32 {
	return uint32(max(8, 4*runtime.GOMAXPROCS(0)))
}

// Registrar registers services so that their calls pass a chain.
type Registrar struct {
	chain *Chain
	srv   grpc.ServiceRegistrar
	drain *drain // of a Server; nil without one
}

// Registrar wraps a registrar of services: a *grpc.Server, an xDS server or any other
// with RegisterService. The calls of services that are registered with the wrapper pass
// the chain before their requests are read:
//
//	pb.RegisterCartServer(chain.Registrar(srv), impl)
//
// The server's own unary interceptors run inside the chain, its own stream interceptors
// outside. Unknown methods pass the chain only on a server that has
// [Chain.ServerOptions]. Registrar panics as [Chain.NewServer] does, and if srv is nil.
func (c *Chain) Registrar(srv grpc.ServiceRegistrar) *Registrar {
	c.attach("Registrar", ServerSide)
	if isNil(srv) {
		panic("hauberk: Chain.Registrar in front of a nil server")
	}
	switch inner := srv.(type) {
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
	r.chain.registered.Store(registeredService(desc.ServiceName), nil)
	if r.drain != nil && desc.ServiceName+"/*" == Health {
		r.drain.watch(impl)
	}
	wrapped := *desc
	wrapped.Methods = slices.Clone(desc.Methods)
	wrapped.Streams = slices.Clone(desc.Streams)
	for i := range wrapped.Methods {
		m := &wrapped.Methods[i]
		m.Handler = r.wrapUnary(desc, m)
	}
	for i := range wrapped.Streams {
		s := &wrapped.Streams[i]
		s.Handler = r.wrapStream(desc, s)
	}
	r.srv.RegisterService(&wrapped, impl)
}

// GetServiceInfo returns the services of the wrapped registrar, for reflection. It
// returns nil if the registrar has no such method.
func (r *Registrar) GetServiceInfo() map[string]grpc.ServiceInfo {
	if s, ok := r.srv.(interface {
		GetServiceInfo() map[string]grpc.ServiceInfo
	}); ok {
		return s.GetServiceInfo()
	}
	return nil
}

func (r *Registrar) wrapUnary(desc *grpc.ServiceDesc, m *grpc.MethodDesc) grpc.MethodHandler {
	c := r.chain
	route, state := c.registeredRoute("/"+desc.ServiceName+"/"+m.MethodName, Unary)
	r.drain.track(route.method)
	request := requestType(desc.HandlerType, m.MethodName, Unary)
	handler := m.Handler
	return func(srv any, ctx context.Context, dec func(any) error, own grpc.UnaryServerInterceptor) (any, error) {
		if state.again.Load() && c.runs(ctx, route.method.full) {
			return handler(srv, ctx, dec, own)
		}
		u := &serverUnary{srv: srv, handler: handler, dec: dec, own: own, request: request}
		u.call.init(ctx, route, ServerSide, u)
		return u.serve()
	}
}

func (r *Registrar) wrapStream(desc *grpc.ServiceDesc, s *grpc.StreamDesc) grpc.StreamHandler {
	c := r.chain
	route, _ := c.registeredRoute("/"+desc.ServiceName+"/"+s.StreamName, kindOfStream(s))
	r.drain.track(route.method)
	request := requestType(desc.HandlerType, s.StreamName, route.method.kind)
	handler := s.Handler
	return func(srv any, stream grpc.ServerStream) error {
		if c.runs(stream.Context(), route.method.full) {
			return handler(srv, stream)
		}
		return c.serveStream(route, srv, stream, handler, request)
	}
}

// registeredMethod is what a chain keeps of a method that was registered.
type registeredMethod struct {
	// again is whether it was registered more than once: on several servers, or by
	// registrars of the chain with one of the program's own between them. Then a
	// handler may find the chain running.
	again atomic.Bool
}

// registeredRoute returns the route of a method that a server registers, which
// grpc-go dispatches with any name.
func (c *Chain) registeredRoute(full string, kind Kind) (*route, *registeredMethod) {
	m := bestMethod(full, kind)
	m.known, m.unguarded = true, c.unguarded(m)
	state, again := c.registered.LoadOrStore(full, new(registeredMethod))
	if again {
		state.(*registeredMethod).again.Store(true)
	}
	return &route{m, c.planFor(m)}, state.(*registeredMethod)
}

// registeredService is the key of a service that was registered through a chain.
type registeredService string

func (c *Chain) hasRegistered(key any) bool {
	_, ok := c.registered.Load(key)
	return ok
}

func (c *Call) init(ctx context.Context, r *route, side Side, end terminal) {
	c.ctx = callContext{ctx, c}
	c.method, c.kind, c.plan, c.side, c.end = r.method, r.method.kind, r.plan, side, end
}

// requestType finds the type of a method's request in a service's Go interface,
// given as a pointer to it, or in an implementation; nil where it has no such
// method, as where the service was not generated.
func requestType(service any, method string, kind Kind) reflect.Type {
	t := reflect.TypeOf(service)
	if t == nil {
		return nil
	}
	argument := 1 // behind the receiver
	if t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Interface {
		t, argument = t.Elem(), 0
	}
	if kind == Unary {
		argument++ // behind the context
	}
	m, ok := t.MethodByName(method)
	if !ok || m.Type.NumIn() <= argument || m.Type.In(argument).Kind() != reflect.Pointer {
		return nil
	}
	return m.Type.In(argument).Elem()
}
