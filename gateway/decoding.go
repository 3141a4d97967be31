package gateway

import (
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// ReasonSubtype is the reason of calls whose messages must be decoded and are not those of protobuf.
const ReasonSubtype = "MESSAGES_NOT_PROTOBUF"

// decoding is how the messages of a call are decoded. It is the implementation of the method that the chain sees.
type decoding struct {
	method protoreflect.MethodDescriptor
	err    error // why they cannot be decoded; method is then nil
	known  bool
}

// MethodDescriptor returns the descriptor of the method, or nil if messages cannot be decoded.
func (d *decoding) MethodDescriptor() protoreflect.MethodDescriptor { return d.method }

// Known reports whether the upstream has the method.
func (d *decoding) Known() bool { return d.known }

// NewRequest returns a message for a request.
func (d *decoding) NewRequest() (any, error) {
	if d.err != nil {
		return nil, d.err
	}
	return newDecoded(d.method.Input()), nil
}

// decodingOf returns how the messages of a call are decoded, or nil if they are not. It sets the kind of the call.
func (g *Gateway) decodingOf(c *call) *decoding {
	if g.messages == nil {
		return nil
	}
	method, err := g.messages(c.request.Method)
	switch {
	case err != nil:
		return &decoding{err: err, known: c.known}
	case method == nil:
		return nil
	case c.request.Subtype != "" && c.request.Subtype != "proto":
		return &decoding{known: true, err: hauberk.Reject(codes.Unimplemented, ReasonSubtype,
			"The content type must be application/grpc or application/grpc+proto")}
	}
	c.info.IsClientStream, c.info.IsServerStream = method.IsStreamingClient(), method.IsStreamingServer()
	return &decoding{method: method, known: true}
}

// stream returns the kind of the calls of the upstream.
func (d *decoding) stream() *grpc.StreamDesc {
	return &grpc.StreamDesc{ClientStreams: d.method.IsStreamingClient(), ServerStreams: d.method.IsStreamingServer()}
}

var errNoRequest = status.Error(codes.Internal, "gateway: the client sent no request for a method that has one")

// moveDecoded is moveRequests for messages that are decoded.
func (c *call) moveDecoded(down grpc.ServerStream, up transport.Outbound) error {
	for n := 0; ; n++ {
		err := c.nextRequest(down)
		if errors.Is(err, io.EOF) && n == 0 && !c.decode.method.IsStreamingClient() {
			return errNoRequest
		}
		if errors.Is(err, io.EOF) {
			return up.CloseSend()
		}
		if err != nil {
			return err
		}
		switch err := sendDecoded(up, c.upDecoded, c.request.Compressor); {
		case errors.Is(err, io.EOF):
			return nil // the call has ended: pumpResponses receives the status
		case err != nil:
			return err
		}
	}
}

func sendDecoded(up transport.Outbound, d *decoded, encoding string) error {
	if chain, ok := up.(*chained); ok {
		return chain.stream.SendMsg(d)
	}
	m, err := d.encode("request", encoding)
	if err != nil {
		return err
	}
	return up.Send(m)
}

// pumpDecoded is pumpResponses, after the header, for messages that are decoded.
func (c *call) pumpDecoded(down grpc.ServerStream, up transport.Outbound) error {
	for {
		d := newDecoded(c.decode.method.Output())
		err := c.receiveDecoded(up, d)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, transport.ErrSource):
			continue // Recv fails likewise: the upstream has ended the call
		case err != nil:
			return err
		}
		c.learn()
		if err := down.SendMsg(d); err != nil {
			return err
		}
	}
}

// receiveDecoded receives a response. It returns io.EOF when the call has ended, with any status.
func (c *call) receiveDecoded(up transport.Outbound, d *decoded) error {
	if chain, ok := up.(*chained); ok {
		return chain.receive(d)
	}
	if err := up.Recv(&c.down); err != nil {
		return err
	}
	return d.decode(&c.down, c.raw.Encoding, c.gateway.messageSize, responses)
}
