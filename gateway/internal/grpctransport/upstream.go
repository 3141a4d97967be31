package grpctransport

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Upstream makes calls over one grpc-go ClientConn.
type Upstream struct {
	conn *grpc.ClientConn
	kind grpc.StreamDesc
	wait time.Duration // for a connection

	reached atomic.Bool // there was a connection
}

// NewUpstream returns an upstream that connects at the first call. The target is one of
// grpc-go. opts override the options of this package.
func NewUpstream(target string, config Limits, of transport.Connections, opts ...grpc.DialOption) (*Upstream, error) {
	all, err := connect(target, of)
	if err != nil {
		return nil, err
	}
	all = append(all,
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(config.MessageSize)),
		grpc.WithMaxHeaderListSize(config.UpstreamHeaderListSize),
		// Call the configured target, and only once: no proxy from the environment, no
		// service config from the name resolver, and no retries except transparent ones.
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
	)
	conn, err := grpc.NewClient(target, append(all, opts...)...)
	if err != nil {
		return nil, err
	}
	// Both sides may send any number of messages.
	return &Upstream{
		conn: conn, kind: grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, wait: of.WaitForReady,
	}, nil
}

// Close closes the connection.
func (u *Upstream) Close() error { return u.conn.Close() }

// Reach is [transport.Upstream.Reach].
func (u *Upstream) Reach() error {
	switch state := u.conn.GetState(); state {
	case connectivity.Ready:
		u.reached.Store(true)
		return nil
	case connectivity.Idle, connectivity.Connecting: // a connection that fails is in TransientFailure until it succeeds
		u.conn.Connect()
		if !u.reached.Load() {
			return transport.ErrNotConnected
		}
		return nil
	default:
		return fmt.Errorf("the connection to the upstream is in the state %v", state)
	}
}

// Open starts a call.
func (u *Upstream) Open(ctx context.Context, req transport.Request) (transport.Outbound, error) {
	var opts []grpc.CallOption
	if req.Subtype != "" {
		opts = append(opts, grpc.CallContentSubtype(req.Subtype))
	}
	if req.Compressor != "" && req.Compressor != encoding.Identity {
		opts = append(opts, grpc.UseCompressor(req.Compressor))
	}
	ctx = metadata.NewOutgoingContext(ctx, req.Metadata)
	stream, err := u.conn.NewStream(ctx, &u.kind, req.Method, opts...)
	if u.wait > 0 && status.Code(err) == codes.Unavailable {
		stream, err = u.openReady(ctx, req.Method, err, opts)
	}
	if err != nil {
		return nil, err
	}
	return &outbound{stream: stream}, nil
}

// openReady opens a stream when there is a connection, but does not wait for longer than u.wait.
// It then returns failure.
func (u *Upstream) openReady(
	ctx context.Context, method string, failure error, opts []grpc.CallOption,
) (grpc.ClientStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(u.wait, cancel)
	stream, err := u.conn.NewStream(ctx, &u.kind, method, append(opts, grpc.WaitForReady(true))...)
	if !timer.Stop() && (err != nil || ctx.Err() != nil) {
		cancel()
		return nil, failure
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return stream, nil // the end of the parent releases the context
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

// Status is [transport.Outbound.Status].
func (o *outbound) Status() transport.Status { return statusOf(o.err, o.stream.Trailer()) }

// Pass returns nil: grpc-go returns messages one by one.
func (o *outbound) Pass(transport.Inbound) func() (int, error) { return nil }
