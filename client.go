package hauberk

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/internal/connoptions"
)

// DialOptions returns the options for a grpc-go client connection whose calls
// pass the chain, followed by opts:
//
//	conn, err := grpc.NewClient(target, chain.DialOptions(grpc.WithTransportCredentials(creds))...)
//
// Interceptors of grpc-go among opts run inside the chain, except those given
// with grpc.WithUnaryInterceptor and grpc.WithStreamInterceptor, which run
// outside. The chain runs once around a call of a connection that has its options and
// is wrapped with [Chain.ClientConn] too. It runs twice if a connection has its options
// twice.
//
// DialOptions panics if the chain is nil or has an interceptor that works only on servers,
// which [Chain.Lint] reports.
func (c *Chain) DialOptions(opts ...grpc.DialOption) []grpc.DialOption {
	return c.attaching("DialOptions").dialOptions(opts)
}

func (a *attachments) dialOptions(opts []grpc.DialOption) []grpc.DialOption {
	a.attach("DialOptions", ClientSide)
	own := []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(a.unaryClientInterceptor("DialOptions")),
		grpc.WithChainStreamInterceptor(a.streamClientInterceptor("DialOptions")),
	}
	if h := a.statsHandler(ClientSide); h != nil {
		own = append(own, grpc.WithStatsHandler(h))
	}
	return append(own, opts...)
}

// ClientConn puts the chain in front of a connection, as intercept_channel does in gRPC
// Python. The last wrapper is the outermost.
//
// Interceptors of grpc-go in the chain ([FromClient]) receive the *grpc.ClientConn that
// conn is or wraps. If conn is of another type, such as a pool of connections, they
// receive nil. An interceptor that uses its connection, for example to read its target,
// then panics.
//
// ClientConn panics as [Chain.DialOptions] does, and if conn is nil.
func (c *Chain) ClientConn(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
	return c.attaching("ClientConn").clientConn(conn)
}

func (a *attachments) clientConn(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
	a.attach("ClientConn", ClientSide)
	if conn == nil {
		panic("hauberk: " + a.what + ".ClientConn in front of a nil connection")
	}
	a.wraps.Store(true)
	wrapped := &clientConn{at: a, cc: grpcConn(conn), defaults: connoptions.Defaults(grpcConn(conn))}
	if inner, ok := conn.(*clientConn); ok {
		wrapped.invoker, wrapped.streamer = inner.invoke, inner.newStream
	} else {
		front := front{conn, wrapped.cc}
		wrapped.invoker, wrapped.streamer = front.invoke, front.newStream
	}
	return wrapped
}

// front is a connection that a chain is in front of.
type front struct {
	grpc.ClientConnInterface

	cc *grpc.ClientConn // the same, if it is grpc-go's
}

// at returns the connection that a call goes to: cc, if an interceptor of grpc-go inside
// FromClient has chosen another.
func (f front) at(cc *grpc.ClientConn) grpc.ClientConnInterface {
	if cc == nil || cc == f.cc {
		return f.ClientConnInterface
	}
	return cc
}

func (f front) invoke(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption,
) error {
	return f.at(cc).Invoke(ctx, method, req, reply, opts...)
}

func (f front) newStream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return f.at(cc).NewStream(ctx, desc, method, opts...)
}

// grpcConn returns the grpc-go connection that conn is, or wraps.
func grpcConn(conn grpc.ClientConnInterface) *grpc.ClientConn {
	switch conn := conn.(type) {
	case *grpc.ClientConn:
		return conn
	case *clientConn:
		return conn.cc
	default:
		return nil
	}
}

type clientConn struct {
	at       *attachments
	cc       *grpc.ClientConn
	invoker  grpc.UnaryInvoker
	streamer grpc.Streamer
	defaults []grpc.CallOption // of cc, so that interceptors find them among the options of a call, as with DialOptions
}

// Invoke makes a unary call.
func (c *clientConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.invoke(ctx, method, args, reply, c.cc, opts...)
}

// invoke makes a unary call on a connection, c's or another.
func (c *clientConn) invoke(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption,
) error {
	return c.at.current.Load().invoke(ctx, method, req, reply, cc, c.invoker, c.options(opts))
}

// options returns the options of a call, the defaults first.
func (c *clientConn) options(opts []grpc.CallOption) []grpc.CallOption {
	if len(c.defaults) == 0 {
		return opts
	}
	return slices.Concat(c.defaults, opts)
}

// NewStream makes a streaming call.
func (c *clientConn) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return c.newStream(ctx, desc, c.cc, method, opts...)
}

// newStream makes a streaming call on a connection, c's or another.
func (c *clientConn) newStream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return c.at.current.Load().newStream(ctx, desc, cc, method, c.streamer, c.options(opts))
}

// UnaryClientInterceptor returns the chain as an interceptor of grpc-go, for code
// that assembles its own options. It panics as [Chain.DialOptions] does.
func (c *Chain) UnaryClientInterceptor() grpc.UnaryClientInterceptor {
	return c.attaching("UnaryClientInterceptor").unaryClientInterceptor("UnaryClientInterceptor")
}

func (a *attachments) unaryClientInterceptor(what string) grpc.UnaryClientInterceptor {
	a.attach(what, ClientSide)
	a.intercepts.Store(true)
	return func(
		ctx context.Context, method string, req, reply any,
		cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		if a.makes(ctx, method) {
			return invoker(ctx, method, req, reply, cc, opts...)
		}
		return a.current.Load().invoke(ctx, method, req, reply, cc, invoker, opts)
	}
}

// StreamClientInterceptor returns the chain as an interceptor of grpc-go, for
// code that assembles its own options. It panics as [Chain.DialOptions] does.
func (c *Chain) StreamClientInterceptor() grpc.StreamClientInterceptor {
	return c.attaching("StreamClientInterceptor").streamClientInterceptor("StreamClientInterceptor")
}

func (a *attachments) streamClientInterceptor(what string) grpc.StreamClientInterceptor {
	a.attach(what, ClientSide)
	a.intercepts.Store(true)
	return func(
		ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
		streamer grpc.Streamer, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		if a.makes(ctx, method) {
			return streamer(ctx, desc, cc, method, opts...)
		}
		return a.current.Load().newStream(ctx, desc, cc, method, streamer, opts)
	}
}

// attemptKey is the key of the method that an attempt of a chain calls, in the context that
// the connection gets.
type attemptKey struct{ at *attachments }

// mark returns the context for an attempt that goes to the connection, if the chain may
// meet it again there.
func (a *attachments) mark(ctx context.Context, m *Method) context.Context {
	if !a.meetsItself() {
		return ctx
	}
	return context.WithValue(ctx, attemptKey{a}, m)
}

// meetsItself reports whether the chain was attached both to a connection and in front of
// one: a program may give a connection its options, and wrap the connection too.
func (a *attachments) meetsItself() bool { return a.wraps.Load() && a.intercepts.Load() }

// makes reports whether the chain already runs around an outgoing call. Interceptors of
// grpc-go between may make an attempt several times. Other calls that are made with the
// context of a call, by an interceptor or with that of a stream, are separate calls.
func (a *attachments) makes(ctx context.Context, method string) bool {
	if !a.meetsItself() {
		return false
	}
	m, _ := ctx.Value(attemptKey{a}).(*Method)
	return m != nil && m.full == method
}

// unmarked is the context of a marked attempt's stream, for the application.
type unmarked struct {
	context.Context

	at *attachments
}

// Value hides the mark.
func (u unmarked) Value(key any) any {
	if key == (attemptKey{u.at}) {
		return nil
	}
	return u.Context.Value(key)
}
