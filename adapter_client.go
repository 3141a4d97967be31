package hauberk

import (
	"context"
	"sync"

	"google.golang.org/grpc"
)

// FromClient makes one interceptor of a chain from the unary and the stream
// interceptor of a grpc-go client; see [FromServer], [PassUnaryClient] and
// [PassStreamClient]. The interceptor works only on clients. The stream interceptor also runs
// for a unary method that is called as a stream. It may return before the call has
// ended, as interceptors of grpc-go do; the chain's interceptor returns at the end.
//
// The call goes to the connection that the interceptor passes to its invoker or streamer;
// nil means the connection of the call. Behind [Chain.DialOptions] the interceptors
// receive the connection of the call. Behind [Chain.ClientConn] they receive nil if the
// chain is in front of a connection that is not a *grpc.ClientConn.
//
// Each call of a unary interceptor's invoker is an attempt of the inner interceptors on a
// copy ([Call.Attempt]), also after one that was rejected in this process, and concurrent
// calls are possible. The response is decoded into the message that the interceptor passes
// to the invoker. The call has the metadata and the counts of the last attempt that
// succeeded, or else of the last one. The invoker returns an INTERNAL error once the
// interceptor has returned.
func FromClient(unary grpc.UnaryClientInterceptor, stream grpc.StreamClientInterceptor) Interceptor {
	return &fromClient{unary, stream}
}

type fromClient struct {
	unary  grpc.UnaryClientInterceptor
	stream grpc.StreamClientInterceptor
}

// Declare reports a missing half.
func (f *fromClient) Declare() Declaration {
	return declareAdapter("FromClient", OnlyClients, f.unary == nil, f.stream == nil)
}

// PassUnaryClient is a unary interceptor that does nothing, for [FromClient].
//
//nolint:revive // argument-limit: the arguments are those of a grpc.UnaryClientInterceptor
func PassUnaryClient(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	return invoker(ctx, method, req, reply, cc, opts...)
}

// PassStreamClient is a stream interceptor that does nothing, for [FromClient].
func PassStreamClient(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	streamer grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return streamer(ctx, desc, cc, method, opts...)
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

func (f *fromClient) interceptUnary(ctx context.Context, call *Call, next Next, u *clientUnary) (err error) {
	reply, err := u.replyOf(call)
	if err != nil {
		return err
	}
	inside := &invocations{call: call, next: next}
	defer inside.end(reply, &err)
	return f.unary(ctx, call.method.full, call.request, reply, call.leg.connection(u.cc), inside.invoke, call.opts...)
}

// invocations are the calls of an invoker by a unary interceptor of grpc-go. Each is an
// attempt on a copy of the call, so that they may run concurrently.
type invocations struct {
	call *Call
	next Next

	mu    sync.Mutex
	ended bool  // the interceptor has returned
	last  *Call // the last copy that ended, of those that succeeded if any did
	err   error // its outcome
}

// invoke is the invoker.
func (in *invocations) invoke(
	ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption,
) error {
	attempt := in.begin()
	if attempt == nil {
		return errInternal("an interceptor of grpc-go called its invoker after it had returned")
	}
	app, err := attempt.redirect(method, request, opts)
	if err != nil {
		return err
	}
	attempt.prepared.foreign = &foreign{conn: cc, reply: reply}
	if err = in.next(ctx, attempt); err == nil {
		err = assign(reply, attempt.response)
	}
	if app != nil {
		app.serve(attempt, err)
	}
	in.note(attempt, err)
	return err
}

func (in *invocations) begin() *Call {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return nil
	}
	return in.call.copied()
}

func (in *invocations) note(attempt *Call, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.last == nil || err == nil || in.err != nil {
		in.last, in.err = attempt, err
	}
}

// end gives the call the metadata and the counts of the last invocation, and the response
// that the interceptor has made of it.
func (in *invocations) end(reply any, err *error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	in.call.Adopt(in.last)
	if *err == nil {
		in.call.response = reply
	}
}

// redirect gives the call what a grpc-go interceptor made of it. Options that
// report the end are returned, to be served there.
func (c *Call) redirect(method string, request any, opts []grpc.CallOption) (*appOptions, error) {
	if method != c.method.full {
		if err := c.SetMethod(method); err != nil {
			return nil, err
		}
	}
	c.draft()
	c.request, c.opts = request, nil
	return c.takeOptions(opts), nil
}

// interceptStream makes the interceptor's stream the transport of the outer
// interceptors. The inner ones become a separate stream, which the interceptor opens.
func (f *fromClient) interceptStream(ctx context.Context, call *Call, next Next, outer *clientStream) error {
	return outer.attempt(ctx, call, func(a *attempt) (grpc.ClientStream, error) {
		inside := func(
			ctx context.Context, _ *grpc.StreamDesc, cc *grpc.ClientConn, method string, opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			return a.inner(ctx, next, cc, method, opts)
		}
		a.adapted = true
		return f.stream(a.ctx, outer.desc, a.leg.connection(outer.cc), a.target.full, inside, a.opts...)
	})
}

// inner starts the rest of a chain as a separate stream, on a copy of the call.
// An interceptor that retries does so several times. It may run while the goroutine
// of the chain is elsewhere, so it reads the attempt and not the call.
func (a *attempt) inner(
	ctx context.Context, rest Next, cc *grpc.ClientConn, method string, opts []grpc.CallOption,
) (grpc.ClientStream, error) {
	s, call := a.stream, a.call
	inner := &clientStream{method: s.method, desc: s.desc, cc: s.cc, open: s.open, start: rest, ctx: ctx, outer: a}
	failed, err := a.nests(inner)
	if err != nil {
		return nil, err
	}
	c := &inner.call
	c.ctx, c.copyOf, c.plan, c.method, c.kind = call.ctx, call, call.plan, a.target, call.kind
	c.side, c.end, c.leg = ClientSide, inner, a.leg
	c.nexts.set(a.depth, a.depth)
	c.base = a.depth
	app, err := c.redirect(method, nil, opts)
	if err != nil {
		failed()
		return nil, err
	}
	c.prepared.foreign = &foreign{conn: cc}
	inner.app = app
	stream, err := inner.launch()
	if err != nil {
		failed()
	}
	return stream, err
}

// adoptInside gives the call the values of attempts that interceptors inside of an adapter have set on its last stream.
func (a *attempt) adoptInside() {
	a.stream.mu.Lock()
	inside := a.nested.stream
	a.stream.mu.Unlock()
	if inside != nil {
		a.call.adoptValues(&inside.call)
	}
}
