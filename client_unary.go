package hauberk

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/internal/callcreds"
)

// clientUnary is a unary call on a client.
type clientUnary struct {
	call    Call
	cc      *grpc.ClientConn
	invoker grpc.UnaryInvoker
	reply   any // the application's
}

// room is the memory that captured metadata of a call needs.
type room struct {
	received

	opts [3]grpc.CallOption // of the first unary attempt
	used bool               // opts are taken
}

// newUnary returns a unary call. If calls of the plan capture metadata, one allocation
// holds the call and the room for that.
func (p *plan) newUnary() *clientUnary {
	if !p.captures.Load() {
		return new(clientUnary)
	}
	u := new(struct {
		clientUnary
		space room
	})
	u.call.incoming = &u.space
	return &u.clientUnary
}

// invoke makes a unary call through the chain.
//
//nolint:revive // argument-limit: the arguments are those of a grpc.UnaryClientInterceptor
func (c *Chain) invoke(
	ctx context.Context, method string, req, reply any,
	cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts []grpc.CallOption,
) error {
	r := c.clientRoute(method, Unary)
	u := r.plan.newUnary()
	u.cc, u.invoker, u.reply = cc, invoker, reply
	u.call.init(ctx, r, ClientSide, u)
	u.call.request = req
	app := u.call.takeOptions(opts)
	err := r.plan.start(&u.call.ctx, &u.call)
	if v := u.call.raised(); v != nil {
		panic(v)
	}
	if err == nil {
		err = assign(reply, u.call.response)
	}
	err = u.call.toApplication(err)
	return app.serveGuarded(&u.call, err)
}

// finish makes the call.
func (u *clientUnary) finish(ctx context.Context, call *Call) error {
	if call.detached {
		err, _ := call.contain(func() error { return u.attempt(ctx, call) })
		return err
	}
	return u.attempt(ctx, call)
}

func (u *clientUnary) attempt(ctx context.Context, call *Call) error {
	reply, err := u.replyOf(call)
	if err != nil {
		return err
	}
	opts, creds := callcreds.Watched(call.opts)
	if call.captures {
		opts = call.capturing(opts)
	}
	call.made, call.unsent = true, ctx.Err() != nil
	call.countSent()
	ctx = call.plan.chain.at.mark(call.measure(ctx), call.method)
	err = u.invoker(ctx, call.method.full, call.request, reply, call.leg.connection(u.cc), opts...)
	if err != nil {
		err = usable(err, grpcInterceptor)
		call.unsent = call.unsent || creds.Failed(CodeOf(err), isInvalid) || failedToEncode(ctx, call.request, err)
		return err
	}
	call.response = reply
	call.countReceived()
	return nil
}

// replyOf returns the message that an attempt decodes its response into: that of
// replyFor, or for concurrent attempts inside of that one of the same type.
func (u *clientUnary) replyOf(call *Call) (any, error) {
	shared := call.copyOf != nil
	if l := call.leg.adapter(); l != nil {
		shared = l.depth < call.base
	}
	if !shared {
		return u.replyFor(call), nil
	}
	return typeOf(u.replyFor(call)).make()
}

// replyFor returns the message that gets the response of a call: the one that the innermost
// adapter passes on, or the application's.
func (u *clientUnary) replyFor(call *Call) any {
	if l := call.leg.adapter(); l != nil {
		return l.foreign.reply
	}
	return u.reply
}

// again reports whether a unary call can be made again: always.
func (u *clientUnary) again(*Call, int32) bool { return true }

func (u *clientUnary) conn() *grpc.ClientConn { return u.cc }

// capturing adds options that keep the header, the trailer and the peer of an
// attempt to opts.
func (c *Call) capturing(opts []grpc.CallOption) []grpc.CallOption {
	if c.incoming == nil && !c.plan.captures.Load() {
		c.plan.captures.Store(true)
	}
	in := c.keepReceived()
	in.reset()
	opts = slices.Clip(opts)
	if len(opts) == 0 && !c.incoming.used {
		c.incoming.used = true
		opts = c.incoming.opts[:0]
	}
	return append(opts,
		grpc.Header(&in.header), grpc.Trailer(&in.trailer), grpc.Peer(&in.peer))
}
