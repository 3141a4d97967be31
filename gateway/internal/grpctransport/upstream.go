package grpctransport

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Upstream makes calls over one grpc-go ClientConn.
type Upstream struct {
	conn *grpc.ClientConn
	kind grpc.StreamDesc
}

// reconnect has a short maximum backoff, so that an upstream is used soon after it becomes
// available again.
func reconnect() grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff: backoff.Config{
			BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond,
		},
		MinConnectTimeout: 5 * time.Second,
	}
}

// NewUpstream returns an upstream that connects at the first call. The target is one of
// grpc-go. opts override the options of this package.
func NewUpstream(target string, limits Limits, opts ...grpc.DialOption) (*Upstream, error) {
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(limits.MessageSize)),
		grpc.WithMaxHeaderListSize(limits.HeaderListSize),
		grpc.WithConnectParams(reconnect()),
		// Call the configured target, and only once: no proxy from the environment, no
		// service config from the name resolver, and no retries except transparent ones.
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
	}, opts...)...)
	if err != nil {
		return nil, err
	}
	// Both sides may send any number of messages.
	return &Upstream{conn, grpc.StreamDesc{ClientStreams: true, ServerStreams: true}}, nil
}

// Close closes the connection.
func (u *Upstream) Close() error { return u.conn.Close() }

// Open starts a call.
func (u *Upstream) Open(ctx context.Context, req transport.Request) (transport.Outbound, error) {
	var opts []grpc.CallOption
	if req.Subtype != "" {
		opts = append(opts, grpc.CallContentSubtype(req.Subtype))
	}
	if req.Compressor != "" && req.Compressor != encoding.Identity {
		opts = append(opts, grpc.UseCompressor(req.Compressor))
	}
	stream, err := u.conn.NewStream(metadata.NewOutgoingContext(ctx, req.Metadata), &u.kind, req.Method, opts...)
	if err != nil {
		return nil, err
	}
	return &outbound{stream: stream}, nil
}

// outbound is one call to the upstream.
type outbound struct {
	stream grpc.ClientStream
	err    error // of RecvMsg, at the end
}

func (o *outbound) Send(msg *transport.Message) error { return o.stream.SendMsg(msg) }
func (o *outbound) CloseSend() error                  { return o.stream.CloseSend() }

// Header returns nil if the call failed before its header arrived.
func (o *outbound) Header() metadata.MD {
	md, _ := o.stream.Header()
	return md
}

// Raw returns nothing: grpc-go has its own encoding on each connection.
func (o *outbound) Raw() transport.RawResponse { return transport.RawResponse{} }

// Close does nothing: the end of the context cancels the call.
func (o *outbound) Close() {}

func (o *outbound) Recv(msg *transport.Message) error {
	if o.err = o.stream.RecvMsg(msg); o.err != nil {
		return io.EOF
	}
	return nil
}

func (o *outbound) End() (transport.Status, metadata.MD) {
	trailer := o.stream.Trailer()
	return statusOf(o.err, trailer), trailer
}
