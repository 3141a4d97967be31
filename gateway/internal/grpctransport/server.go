// Package grpctransport implements the gateway's transport with grpc-go.
package grpctransport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // registers the compressor
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Limits bounds the memory that one peer can make the gateway use.
type Limits struct {
	MessageSize            int           // bytes of one message, after decompression
	HeaderListSize         uint32        // bytes of one header list of a client, as HTTP/2 counts them
	UpstreamHeaderListSize uint32        // the same of the upstream
	Streams                uint32        // concurrent calls on one connection of a client
	Conns                  int           // connections of clients
	Age, Grace, Idle       time.Duration // of connections, as in keepalive.ServerParameters; 0 is any time
	MinPing                time.Duration // between the pings of a client
	Handshake              time.Duration // for the preface and the first settings
	TLS                    *tls.Config   // of Serve; nil adds none
	Recorder               *limits.Recorder
}

// Server is a grpc-go server without services. It passes the calls of all methods to the
// handler.
type Server struct {
	handle transport.Handler
	server *grpc.Server
	config Limits
}

// NewServer returns a server that calls handle for all calls.
func NewServer(config Limits, handle transport.Handler) *Server {
	s := &Server{handle: handle, config: config}
	secure := insecure.NewCredentials()
	if config.TLS != nil {
		secure = credentials.NewTLS(config.TLS)
	}
	s.server = grpc.NewServer(
		grpc.Creds(secure),
		grpc.ForceServerCodecV2(codec{}),
		grpc.UnknownServiceHandler(s.serve),
		grpc.MaxRecvMsgSize(config.MessageSize),
		grpc.MaxHeaderListSize(config.HeaderListSize),
		grpc.MaxConcurrentStreams(config.Streams),
		grpc.ConnectionTimeout(config.Handshake),
		grpc.WaitForHandlers(true),
		// Reused goroutines do not grow their stacks again, which is an eighth of the
		// cost of a call. If all are busy, grpc-go starts further goroutines.
		grpc.NumStreamWorkers(64),
		// Detects within 80 s that a client is gone. Clients may check the gateway, too.
		// grpc-go adds the jitter to the age.
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: time.Minute, Timeout: 20 * time.Second,
			MaxConnectionAge: config.Age, MaxConnectionAgeGrace: config.Grace, MaxConnectionIdle: config.Idle,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: config.MinPing, PermitWithoutStream: true,
		}),
	)
	return s
}

// Serve serves until Drain or Close.
func (s *Server) Serve(lis net.Listener) error {
	if s.config.Conns > 0 {
		lis = netutil.LimitListener(lis, s.config.Conns)
	}
	err := s.server.Serve(lis)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil // stopped before Serve was called
	}
	return err
}

// Drain sends GOAWAY to all clients and waits for their calls.
func (s *Server) Drain() { s.server.GracefulStop() }

// Close cuts all connections and waits for the handlers.
func (s *Server) Close() { s.server.Stop() }

func (s *Server) serve(_ any, stream grpc.ServerStream) error {
	in := &inbound{stream: stream, ctx: stream.Context(), limits: s.config.Recorder}
	defer in.endEarly()()
	st := s.handle(in)
	if len(st.Details) > 0 {
		stream.SetTrailer(metadata.MD{detailsKey: st.Details})
	}
	return status.Error(st.Code, st.Message)
}

// serverStream has the methods of grpc-go's stream that its public interface lacks.
type serverStream interface {
	Method() string
	ContentSubtype() string
	RecvCompress() string
	WriteStatus(st *status.Status) error
}

// inbound is one call of a client.
type inbound struct {
	stream grpc.ServerStream
	ctx    context.Context //nolint:containedctx // Context returns it
	limits *limits.Recorder

	deadline deadline
}

func (in *inbound) Context() context.Context { return in.ctx }

func (in *inbound) Request() transport.Request {
	own, ok := grpc.ServerTransportStreamFromContext(in.ctx).(serverStream)
	if !ok {
		method, _ := grpc.MethodFromServerStream(in.stream)
		return transport.Request{Method: method}
	}
	return transport.Request{Method: own.Method(), Subtype: own.ContentSubtype(), Compressor: own.RecvCompress()}
}

// Metadata returns a copy: grpc-go has no other way to read all of it.
func (in *inbound) Metadata() metadata.MD {
	md, _ := metadata.FromIncomingContext(in.ctx)
	return md
}

// Complete returns false: grpc-go does not report what it has received.
func (in *inbound) Complete() bool { return false }

// Fields returns nil: grpc-go decodes the header.
func (in *inbound) Fields(context.Context) []hpack.HeaderField { return nil }

func (in *inbound) Recv(msg *transport.Message) error {
	err := in.stream.RecvMsg(msg)
	if hauberk.MessageTooLarge(err) {
		in.limits.Met(limits.MessageSize, limits.Peer(in.ctx))
	}
	return err
}

// SetRaw does nothing: grpc-go has its own encoding on each connection.
func (in *inbound) SetRaw(transport.RawResponse) {}

// Encoding returns "".
func (in *inbound) Encoding() string { return "" }

func (in *inbound) SetHeader(md metadata.MD) error  { return in.stream.SetHeader(md) }
func (in *inbound) SendHeader(md metadata.MD) error { return in.stream.SendHeader(md) }
func (in *inbound) SetTrailer(md metadata.MD)       { in.stream.SetTrailer(md) }
