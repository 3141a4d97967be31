// Package grpctransport implements the gateway's transport with grpc-go.
package grpctransport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // registers the compressor
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Limits bounds the memory that one peer can make the gateway use.
type Limits struct {
	MessageSize    int    // bytes of one message, after decompression
	HeaderListSize uint32 // bytes of one header list, as HTTP/2 counts them
	Streams        uint32 // concurrent calls on one connection of a client
	// TLS is that of Serve; nil adds none.
	TLS *tls.Config
}

// Server is a grpc-go server without services. It passes the calls of all methods to the
// handler.
type Server struct {
	handle transport.Handler
	server *grpc.Server
}

// NewServer returns a server that calls handle for all calls.
func NewServer(limits Limits, handle transport.Handler) *Server {
	s := &Server{handle: handle}
	secure := insecure.NewCredentials()
	if limits.TLS != nil {
		secure = credentials.NewTLS(limits.TLS)
	}
	s.server = grpc.NewServer(
		grpc.Creds(secure),
		grpc.ForceServerCodecV2(codec{}),
		grpc.UnknownServiceHandler(s.serve),
		grpc.MaxRecvMsgSize(limits.MessageSize),
		grpc.MaxHeaderListSize(limits.HeaderListSize),
		grpc.MaxConcurrentStreams(limits.Streams),
		grpc.ConnectionTimeout(20*time.Second),
		grpc.WaitForHandlers(true),
		// Reused goroutines do not grow their stacks again, which is an eighth of the
		// cost of a call. If all are busy, grpc-go starts further goroutines.
		grpc.NumStreamWorkers(64),
		// Detects within 80 s that a client is gone. Clients may check the gateway, too.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: 10 * time.Second, PermitWithoutStream: true,
		}),
	)
	return s
}

// Serve serves until Drain or Close.
func (s *Server) Serve(lis net.Listener) error {
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
	in := &inbound{stream: stream, ctx: stream.Context()}
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

func (in *inbound) Recv(msg *transport.Message) error { return in.stream.RecvMsg(msg) }

// SetRaw does nothing: grpc-go has its own encoding on each connection.
func (in *inbound) SetRaw(transport.RawResponse) {}

func (in *inbound) SetHeader(md metadata.MD) error  { return in.stream.SetHeader(md) }
func (in *inbound) SendHeader(md metadata.MD) error { return in.stream.SendHeader(md) }
func (in *inbound) SetTrailer(md metadata.MD)       { in.stream.SetTrailer(md) }
