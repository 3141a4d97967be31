package gateway

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// UpstreamConn returns a connection to the upstream for calls of the program, such as those of server reflection. They
// use the connections of the gateway, run through no chain, and have messages of protobuf. Call options have no effect.
func (g *Gateway) UpstreamConn() grpc.ClientConnInterface { return ownConn{g} }

type ownConn struct{ gateway *Gateway }

// NewStream starts a call.
func (o ownConn) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	md, _ := metadata.FromOutgoingContext(ctx)
	return o.gateway.newAttempt(ctx, desc, transport.Request{Method: method, Metadata: md}, new(chained))
}

// Invoke makes a unary call.
func (o ownConn) Invoke(ctx context.Context, method string, request, response any, _ ...grpc.CallOption) error {
	stream, err := o.NewStream(ctx, new(grpc.StreamDesc), method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) { // RecvMsg has the status of io.EOF
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	err = stream.RecvMsg(response)
	if errors.Is(err, io.EOF) {
		return status.Errorf(codes.Internal, "gateway: %s ended without a response", method)
	}
	return err
}
