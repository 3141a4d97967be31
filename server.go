package hauberk

import (
	"context"
	"reflect"
	"runtime"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/internal/options"
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

	at       *attachments
	register *Registrar
	web      webCalls
	drain    *drain
	serving  bool // Serve was called; guarded by changing of the attachments
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
	return c.attaching("NewServer").newServer(opts)
}

func (a *attachments) newServer(opts []grpc.ServerOption) *Server {
	a.attach("NewServer", ServerSide)
	d := newDrain(a.current.Load().drain)
	s := &Server{Server: grpc.NewServer(a.serverOptions(d, opts)...), at: a, drain: d}
	s.register = &Registrar{at: a, srv: s.Server, drain: d}
	d.server = s
	a.keepDrain(d)
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
	return c.attaching("ServerOptions").newServerOptions(opts)
}

func (a *attachments) newServerOptions(opts []grpc.ServerOption) []grpc.ServerOption {
	a.attach("ServerOptions", ServerSide)
	return a.serverOptions(nil, opts)
}

// serverOptions is ServerOptions for a server whose calls d keeps, unless that is nil.
func (a *attachments) serverOptions(d *drain, opts []grpc.ServerOption) []grpc.ServerOption {
	own := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(a.unaryServerInterceptor(d)),
		grpc.ChainStreamInterceptor(a.streamServerInterceptor(d, false)),
		grpc.UnknownServiceHandler(a.serveUnknown),
		grpc.NumStreamWorkers(streamWorkers()),
	}
	if h := a.statsHandler(ServerSide); h != nil {
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
	at    *attachments
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
	return c.attaching("Registrar").registrar(srv)
}

func (a *attachments) registrar(srv grpc.ServiceRegistrar) *Registrar {
	a.attach("Registrar", ServerSide)
	if options.IsNil(srv) {
		panic("hauberk: " + a.what + ".Registrar in front of a nil server")
	}
	switch inner := srv.(type) {
	case *Server:
		if inner.at == a {
			return inner.register
		}
	case *Registrar:
		if inner.at == a {
			return inner
		}
	}
	return &Registrar{at: a, srv: srv}
}

// RegisterService registers a service whose calls pass the chain.
func (r *Registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	r.at.registered.Store(registeredService(desc.ServiceName), nil)
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
	a := r.at
	s, state := r.newSlot("/"+desc.ServiceName+"/"+m.MethodName, Unary)
	method := &unaryMethod{m.Handler, requestType(desc.HandlerType, m.MethodName, Unary)}
	return func(srv any, ctx context.Context, dec func(any) error, own grpc.UnaryServerInterceptor) (any, error) {
		if state.again.Load() && a.runs(ctx, s.full) {
			return method.handler(srv, ctx, dec, own)
		}
		u := &serverUnary{srv: srv, method: method, dec: dec, own: own}
		u.call.init(ctx, s.now(), ServerSide, u)
		return u.serve()
	}
}

func (r *Registrar) wrapStream(desc *grpc.ServiceDesc, m *grpc.StreamDesc) grpc.StreamHandler {
	a := r.at
	s, _ := r.newSlot("/"+desc.ServiceName+"/"+m.StreamName, kindOfStream(m))
	request := requestType(desc.HandlerType, m.StreamName, s.kind)
	handler := m.Handler
	return func(srv any, stream grpc.ServerStream) error {
		if a.runs(stream.Context(), s.full) {
			return handler(srv, stream)
		}
		return serveStream(s.now(), srv, stream, handler, request)
	}
}

// registeredMethod is what the attachments of a chain keep of a method that was registered.
type registeredMethod struct {
	kind Kind
	// again is whether it was registered more than once: on several servers, or by
	// registrars of the chain with one of the program's own between them. Then a
	// handler may find the chain running.
	again atomic.Bool
}

// newSlot returns the slot of a method that a server registers.
func (r *Registrar) newSlot(full string, kind Kind) (*slot, *registeredMethod) {
	state, again := r.at.registered.LoadOrStore(full, &registeredMethod{kind: kind})
	if again {
		state.(*registeredMethod).again.Store(true)
	}
	s := r.at.newSlot(r.drain, methodName{full: full, kind: kind})
	s.now() // so that the first call finds its route
	return s, state.(*registeredMethod)
}

// registeredService is the key of a service that was registered through a chain.
type registeredService string

func (a *attachments) hasRegistered(key any) bool {
	_, ok := a.registered.Load(key)
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
