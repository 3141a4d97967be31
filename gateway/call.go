package gateway

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// call is one call. It is also the stream that the chain runs on.
type call struct {
	gateway *Gateway
	in      transport.Inbound
	ctx     context.Context //nolint:containedctx // Context returns it
	request transport.Request
	raw     transport.RawResponse
	known   bool
	stream  chainStream                      // nil if an adapter is innermost
	plain   bool                             // nothing of the chain looks at messages
	decode  *decoding                        // nil if messages are not decoded
	held    *received                        // the next request, if it was received already; else nil
	ended   atomic.Pointer[transport.Status] // the upstream's status; nil before the upstream ended the call

	// In call itself to save allocations.
	info     grpc.StreamServerInfo
	up, down Message // being forwarded

	upDecoded *decoded // the request that is being forwarded; nil without decode
}

// handle runs the chain around one call. The innermost step forwards the call.
func (g *Gateway) handle(in transport.Inbound) transport.Status {
	if st := g.shed(in); st != nil {
		return *st
	}
	c := &call{gateway: g, in: in, ctx: g.strip.strip(in), request: in.Request()}
	c.info = grpc.StreamServerInfo{FullMethod: c.request.Method, IsClientStream: true, IsServerStream: true}
	var srv any // nil means that the method is not known
	if c.known = g.methods.known(c.request.Method); c.known {
		srv = known{}
	}
	if c.decode = g.decodingOf(c); c.decode != nil {
		srv = c.decode
	}
	err := g.chain(srv, c, &c.info, c.forward)
	return statusOf(err, c.ended.Load())
}

// learn records that the upstream has the method.
func (c *call) learn() {
	if !c.known {
		c.known = true
		c.gateway.methods.learn(c.request.Method)
	}
}

func (c *call) Context() context.Context        { return c.ctx }
func (c *call) SetHeader(md metadata.MD) error  { return c.in.SetHeader(md) }
func (c *call) SendHeader(md metadata.MD) error { return c.in.SendHeader(md) }
func (c *call) SetTrailer(md metadata.MD)       { c.in.SetTrailer(md) }

// SendMsg sends a message of the upstream or the reply of an interceptor.
func (c *call) SendMsg(msg any) error {
	m, err := encoded(msg, "reply", c.in.Encoding())
	if err != nil {
		return err
	}
	return c.in.Send(m)
}

// RecvMsg receives a message from the client.
func (c *call) RecvMsg(msg any) error {
	if d, ok := msg.(*decoded); ok {
		var m Message
		if err := c.in.Recv(&m); err != nil {
			return err
		}
		err := d.decode(&m, c.request.Compressor, c.gateway.messageSize, requests)
		if hauberk.MessageTooLarge(err) {
			c.gateway.limits.Met(limits.MessageSize, limits.Peer(c.ctx))
		}
		return err
	}
	m, ok := msg.(*Message)
	if !ok {
		return status.Errorf(codes.Internal, "gateway: an interceptor receives into a %T; want a *gateway.Message", msg)
	}
	return c.in.Recv(m)
}
