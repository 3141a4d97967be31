package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that raw replaces
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// server is what a child runs.
type server interface {
	Serve(lis net.Listener) error
	Stop()
}

// serveRole serves as one of the processes under load until standard input is
// closed.
func serveRole(role, upstream string) error {
	srv, err := newRole(role, upstream)
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(lis.Addr())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	serveControl()
	srv.Stop()
	return ignoreStop(<-served)
}

func ignoreStop(err error) error {
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

func newRole(role, upstream string) (server, error) {
	switch role {
	case "server-bare":
		return withService(grpc.NewServer(hauberkOptions()...)), nil
	case "server-bare-defaults":
		return withService(grpc.NewServer()), nil
	case "server-bare-rejecting":
		return withService(grpc.NewServer(append(hauberkOptions(), grpc.UnaryInterceptor(rejectUnary))...)), nil
	case "server-bare-tap":
		return withService(grpc.NewServer(append(hauberkOptions(), grpc.InTapHandle(rejectInTap))...)), nil
	case "server-hauberk-empty":
		return withService(chainOf().NewServer()), nil
	case "server-hauberk":
		return withService(wholeChain(requestid.Config{NoEcho: true}).NewServer()), nil
	case "server-middleware":
		return withService(grpc.NewServer(append(hauberkOptions(),
			grpc.ChainUnaryInterceptor(middlewareInterceptors()...))...)), nil
	case "proxy-plain":
		return plainProxy(upstream)
	case "proxy-hauberk":
		return gateway.New(gateway.Config{Upstream: upstream, Transport: gateway.TransportGRPC, Chain: chainOf()})
	case "proxy-hauberk-full":
		return gateway.New(gateway.Config{
			Upstream: upstream, Transport: gateway.TransportGRPC, Chain: wholeChain(requestid.Config{}),
		})
	case "server-sidecar":
		srv := grpc.NewServer(hauberkOptions()...)
		testpb.RegisterTestServiceServer(srv, sidecarService{})
		return srv, nil
	case "proxy-frames":
		return gateway.New(gateway.Config{Upstream: upstream, Chain: chainOf()})
	case "proxy-frames-full":
		return gateway.New(gateway.Config{Upstream: upstream, Chain: wholeChain(requestid.Config{})})
	default:
		return nil, fmt.Errorf("unknown role %q", role)
	}
}

// hauberkOptions are the options that [hauberk.Chain.ServerOptions] sets, except for its
// interceptors, so that servers are compared that differ only in these.
func hauberkOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.NumStreamWorkers(uint32(max(8, 4*runtime.GOMAXPROCS(0))))}
}

// rejectUnary rejects calls as a grpc-go interceptor does that writes no log and adds no details.
func rejectUnary(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, status.Error(codes.Unauthenticated, "no token")
}

// rejectInTap rejects calls as early as grpc-go can: before it makes their goroutines.
func rejectInTap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	return ctx, status.Error(codes.Unauthenticated, "no token")
}

type registeringServer interface {
	server
	grpc.ServiceRegistrar
}

func withService(srv registeringServer) server {
	testpb.RegisterTestServiceServer(srv, fixedService{})
	return srv
}

// plainProxy is the simplest proxy on grpc-go: an unknown-service handler, a codec that
// passes bytes on, and two loops.
func plainProxy(upstream string) (server, error) {
	conn, err := grpc.NewClient(upstream,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
	if err != nil {
		return nil, err
	}
	forward := func(_ any, down grpc.ServerStream) error { return forwardPlain(conn, down) }
	return grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(forward)), nil
}

func forwardPlain(conn *grpc.ClientConn, down grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(down)
	ctx, cancel := context.WithCancel(down.Context())
	defer cancel()
	md, _ := metadata.FromIncomingContext(ctx)
	up, err := conn.NewStream(metadata.NewOutgoingContext(ctx, md),
		&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		for {
			var msg mem.BufferSlice
			if err := down.RecvMsg(&msg); err != nil {
				if err == io.EOF {
					_ = up.CloseSend()
				}
				return
			}
			if up.SendMsg(&msg) != nil {
				return
			}
		}
	}()
	return plainResponses(up, down)
}

func plainResponses(up grpc.ClientStream, down grpc.ServerStream) error {
	header, err := up.Header()
	if err != nil {
		return err
	}
	if err := down.SetHeader(header); err != nil {
		return err
	}
	for {
		var msg mem.BufferSlice
		err := up.RecvMsg(&msg)
		if err == io.EOF || err != nil {
			down.SetTrailer(up.Trailer())
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := down.SendMsg(&msg); err != nil {
			return err
		}
	}
}

// raw is a codec that passes messages on as they are.
type raw struct{}

var _ encoding.CodecV2 = raw{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) { return *v.(*mem.BufferSlice), nil }

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref()
	*v.(*mem.BufferSlice) = data
	return nil
}
