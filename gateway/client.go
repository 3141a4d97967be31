package gateway

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// openChained starts the call to the upstream through the chain for the client.
func (c *call) openChained(ctx context.Context, req transport.Request) (transport.Outbound, error) {
	out := &chained{}
	ctx = context.WithValue(metadata.NewOutgoingContext(ctx, req.Metadata), outgoingKey{}, &outgoing{req, out})
	desc := &bidi
	if c.decode != nil {
		desc = c.decode.stream()
	}
	stream, err := c.gateway.client.NewStream(ctx, desc, req.Method, untyped)
	if err != nil {
		return nil, err
	}
	out.stream = stream
	return out, nil
}

//nolint:gochecknoglobals // never written
var bidi = grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// untyped makes the chain receive no messages of the method's type, which the process may know by chance. The codec
// itself is not used.
//
//nolint:gochecknoglobals // never written
var untyped = grpc.ForceCodecV2(nil)

// outgoing is a call on its way through the chain for the client.
type outgoing struct {
	request transport.Request
	chained *chained
}

type outgoingKey struct{}

// upstreamConn is the connection that the chain for the client runs on.
type upstreamConn struct{ gateway *Gateway }

// Invoke is not used: all calls of a gateway are streams.
func (u *upstreamConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.Internal, "gateway: an interceptor made a unary call")
}

// NewStream starts an attempt.
func (u *upstreamConn) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	of, ok := ctx.Value(outgoingKey{}).(*outgoing)
	if !ok {
		return nil, status.Error(codes.Internal, "gateway: an interceptor replaced the context of the call")
	}
	req := of.request
	md, _ := metadata.FromOutgoingContext(ctx)
	req.Method, req.Metadata = method, md
	return u.gateway.newAttempt(ctx, desc, req, of.chained)
}

// newAttempt calls the upstream. It removes metadata that gRPC reserves.
func (g *Gateway) newAttempt(
	ctx context.Context, desc *grpc.StreamDesc, req transport.Request, of *chained,
) (grpc.ClientStream, error) {
	req.Metadata = forwarded(req.Metadata, requestReserved)
	ctx, cancel := context.WithCancel(ctx)
	out, err := g.upstream.Open(ctx, req)
	if err != nil {
		cancel()
		return nil, openError(ctx, err)
	}
	return &attempt{
		ctx: ctx, cancel: cancel, out: out, chained: of, single: !desc.ServerStreams, size: g.messageSize,
		compressor: req.Compressor,
	}, nil
}

// chained is the call to the upstream outside of the chain for the client.
type chained struct {
	stream grpc.ClientStream
	err    error // of RecvMsg, at the end

	mu   sync.Mutex // guards the fields below, which attempts set
	raw  transport.RawResponse
	last *transport.Status // of the last attempt that has ended
}

func (c *chained) set(raw transport.RawResponse, end *transport.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = raw
	if end != nil {
		c.last = end
	}
}

// Send sends a copy, since interceptors may keep messages for another attempt.
func (c *chained) Send(msg *transport.Message) error {
	if err := msg.Load(); err != nil {
		return err
	}
	return c.stream.SendMsg(msg.Copy())
}

func (c *chained) CloseSend() error { return c.stream.CloseSend() }

func (c *chained) Header() metadata.MD {
	md, _ := c.stream.Header()
	return md
}

// Raw returns the headers without Header and Trailer, which the chain may have changed.
func (c *chained) Raw() transport.RawResponse {
	_, _ = c.stream.Header()
	c.mu.Lock()
	defer c.mu.Unlock()
	raw := c.raw
	raw.Header, raw.Trailer = nil, nil
	return raw
}

// Pass returns nil: the chain receives messages one by one.
func (c *chained) Pass(transport.Inbound) func() (int, error) { return nil }

func (c *chained) Recv(msg *transport.Message) error {
	if c.err = c.stream.RecvMsg(msg); c.err != nil {
		return io.EOF
	}
	return nil
}

// receive is Recv for a message that is decoded.
func (c *chained) receive(msg *decoded) error {
	if c.err = c.stream.RecvMsg(msg); c.err != nil {
		return io.EOF
	}
	return nil
}

// End returns the status that the chain returned. It is that of the upstream byte for byte if the chain has not
// changed it.
func (c *chained) End() (transport.Status, metadata.MD) {
	return c.Status(), c.stream.Trailer()
}

// Status is [transport.Outbound.Status].
func (c *chained) Status() transport.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.err
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return statusOf(err, c.last)
}

// ofUpstream returns the status that the upstream itself has ended a call with, or nil. end is the one that the call
// has: interceptors of the chain for the client can make it, also of calls that the upstream never sees.
func ofUpstream(up transport.Outbound, end *transport.Status) *transport.Status {
	c, ok := up.(*chained)
	if !ok {
		return end
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Close does nothing: the end of the context cancels the call.
func (c *chained) Close() {}
