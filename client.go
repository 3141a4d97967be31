package hauberk

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// DialOptions returns the options for a grpc-go client connection whose calls
// pass the chain, followed by opts:
//
//	conn, err := grpc.NewClient(target, chain.DialOptions(grpc.WithTransportCredentials(creds))...)
//
// Interceptors of grpc-go among opts run inside the chain, except those given
// with grpc.WithUnaryInterceptor and grpc.WithStreamInterceptor, which run
// outside.
func (c *Chain) DialOptions(opts ...grpc.DialOption) []grpc.DialOption {
	c.check("DialOptions")
	own := []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(c.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(c.StreamClientInterceptor()),
	}
	if h := c.StatsHandler(ClientSide); h != nil {
		own = append(own, grpc.WithStatsHandler(h))
	}
	return append(own, opts...)
}

// ClientConn puts the chain in front of a connection, as intercept_channel does
// in gRPC Python; of two wraps the later is outside.
func (c *Chain) ClientConn(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
	c.check("ClientConn")
	if conn == nil {
		panic("hauberk: Chain.ClientConn in front of a nil connection")
	}
	return &clientConn{
		chain: c,
		cc:    grpcConn(conn),
		invoker: func(
			ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption,
		) error {
			return conn.Invoke(ctx, method, req, reply, opts...)
		},
		streamer: func(
			ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			return conn.NewStream(ctx, desc, method, opts...)
		},
	}
}

// grpcConn returns the grpc-go connection that conn is, or stands in front of.
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
	chain    *Chain
	cc       *grpc.ClientConn
	invoker  grpc.UnaryInvoker
	streamer grpc.Streamer
}

// Invoke makes a unary call.
func (c *clientConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.chain.invoke(ctx, method, args, reply, c.cc, c.invoker, opts)
}

// NewStream makes a streaming call.
func (c *clientConn) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return c.chain.newStream(ctx, desc, c.cc, method, c.streamer, opts)
}

// UnaryClientInterceptor returns the chain as an interceptor of grpc-go, for code
// that assembles its own options.
func (c *Chain) UnaryClientInterceptor() grpc.UnaryClientInterceptor {
	c.check("UnaryClientInterceptor")
	return func(
		ctx context.Context, method string, req, reply any,
		cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		return c.invoke(ctx, method, req, reply, cc, invoker, opts)
	}
}

// StreamClientInterceptor returns the chain as an interceptor of grpc-go, for
// code that assembles its own options.
func (c *Chain) StreamClientInterceptor() grpc.StreamClientInterceptor {
	c.check("StreamClientInterceptor")
	return func(
		ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
		streamer grpc.Streamer, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		return c.newStream(ctx, desc, cc, method, streamer, opts)
	}
}

// clientUnary is a unary call on a client.
type clientUnary struct {
	call    Call
	cc      *grpc.ClientConn
	invoker grpc.UnaryInvoker
	reply   any // the application's
}

// invoke makes a unary call through the chain.
//
//nolint:revive // argument-limit: the arguments are those of a grpc.UnaryClientInterceptor
func (c *Chain) invoke(
	ctx context.Context, method string, req, reply any,
	cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts []grpc.CallOption,
) error {
	r, err := c.clientRoute(method, Unary)
	if err != nil {
		return unroutable(err, opts)
	}
	u := &clientUnary{cc: cc, invoker: invoker, reply: reply}
	u.call.init(ctx, r, ClientSide, u)
	u.call.request = req
	app := u.call.takeOptions(opts)
	err = r.plan.start(&u.call.ctx, &u.call)
	if err == nil {
		err = assign(reply, u.call.response)
	}
	err = toApplication(err)
	if app != nil {
		app.serve(&u.call, err)
	}
	return err
}

// finish makes the call.
func (u *clientUnary) finish(ctx context.Context, call *Call) error {
	reply, err := u.replyOf(call)
	if err != nil {
		return err
	}
	opts := call.opts
	if call.asks&asksMetadata != 0 {
		opts = call.capturing(opts)
	}
	call.sent.Store(1)
	if err := u.invoker(call.measure(ctx), call.method.full, call.request, reply, u.cc, opts...); err != nil {
		return err
	}
	call.response = reply
	return nil
}

// replyOf returns the message that an attempt decodes its response into: the
// application's, or one of the attempt's own.
func (u *clientUnary) replyOf(call *Call) (any, error) {
	if call.root == nil {
		return u.reply, nil
	}
	return typeOf(u.reply).make()
}

// again reports whether a unary call can be made again: always.
func (u *clientUnary) again(*Call, int32) bool { return true }

func (u *clientUnary) conn() *grpc.ClientConn { return u.cc }

// capturing adds options that keep the header, the trailer and the peer of an
// attempt.
func (c *Call) capturing(opts []grpc.CallOption) []grpc.CallOption {
	in := &c.lazy().incoming
	*in = received{}
	return append(slices.Clip(opts),
		grpc.Header(&in.header), grpc.Trailer(&in.trailer), grpc.Peer(&in.peer))
}

// appOptions are the application's options that tell it of the call's end. They
// are taken out of the attempts and served once.
type appOptions struct {
	headers, trailers []*metadata.MD
	peers             []*peer.Peer
	onFinish          []func(error)
}

// takeOptions gives the call the application's options, and returns those to be
// served at its end, or nil.
func (c *Call) takeOptions(opts []grpc.CallOption) *appOptions {
	var app *appOptions
	for i, o := range opts {
		if !tellsEnd(o) {
			if app != nil {
				c.opts = append(c.opts, o)
			}
			continue
		}
		if app == nil {
			app = &appOptions{}
			c.opts = append(c.opts, opts[:i]...)
		}
		app.take(o)
	}
	if app == nil {
		c.opts = opts
	} else if len(app.headers)+len(app.trailers)+len(app.peers) > 0 {
		c.asks |= asksMetadata
	}
	return app
}

// unroutable ends a call whose method's name cannot be one, as grpc-go does: who
// waits for the end is told.
func unroutable(err error, opts []grpc.CallOption) error {
	err = status.Error(codes.Internal, err.Error())
	for _, o := range opts {
		if o, ok := o.(grpc.OnFinishCallOption); ok {
			o.OnFinish(err)
		}
	}
	return err
}

func tellsEnd(o grpc.CallOption) bool {
	switch o.(type) {
	case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption, grpc.OnFinishCallOption:
		return true
	default:
		return false
	}
}

func (a *appOptions) take(o grpc.CallOption) {
	switch o := o.(type) {
	case grpc.HeaderCallOption:
		a.headers = append(a.headers, o.HeaderAddr)
	case grpc.TrailerCallOption:
		a.trailers = append(a.trailers, o.TrailerAddr)
	case grpc.PeerCallOption:
		a.peers = append(a.peers, o.PeerAddr)
	case grpc.OnFinishCallOption:
		a.onFinish = append(a.onFinish, o.OnFinish)
	}
}

// serve tells the application of the end of its call.
func (a *appOptions) serve(call *Call, err error) {
	in := call.captured()
	for _, h := range a.headers {
		*h = in.header
	}
	for _, t := range a.trailers {
		*t = in.trailer
	}
	for _, p := range a.peers {
		if in.peer.Addr != nil {
			*p = in.peer
		}
	}
	for _, f := range a.onFinish {
		f(err)
	}
}
