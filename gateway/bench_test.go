//go:build unix

package gateway_test

import (
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// BenchmarkUnary measures a call with 100 bytes: directly, through a minimal proxy with
// grpc-go, and through a gateway without interceptors, which decodes messages or not. The cost of a proxy is its cpu-ns/op
// minus that of the direct call.
func BenchmarkUnary(b *testing.B) {
	backend := serve(b, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		return s.Send(&testpb.Response{Payload: req.GetPayload()})
	}})
	targets := []struct{ name, address string }{
		{"direct", backend},
		{"plain", plainProxy(b, backend)},
		{"grpc", front(b, gateway.Config{Upstream: backend, Transport: gateway.TransportGRPC})},
		{"frames", front(b, gateway.Config{Upstream: backend})},
		{"decoded", front(b, gateway.Config{Upstream: backend, Messages: unaryMethod})},
	}
	for _, target := range targets {
		b.Run(target.name, func(b *testing.B) {
			client := testpb.NewTestServiceClient(dial(b, target.address))
			req := &testpb.Request{Payload: make([]byte, 100)}
			b.ReportAllocs()
			b.SetParallelism(16)
			before := cpu()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := client.Unary(context.Background(), req); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// unaryMethod returns the descriptor of the unary method, so that messages are decoded.
func unaryMethod(string) (protoreflect.MethodDescriptor, error) {
	return testpb.File_hauberktest_testpb_test_proto.Services().Get(0).Methods().ByName("Unary"), nil
}

// cpu returns the CPU time of the process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// frames is the codec of the plain proxy.
type frames struct{}

func (frames) Name() string { return "" }

func (frames) Marshal(v any) (mem.BufferSlice, error) {
	data := *v.(*mem.BufferSlice)
	data.Ref()
	return data, nil
}

func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref()
	*v.(*mem.BufferSlice) = data
	return nil
}

// plainProxy forwards messages and metadata, and does nothing else.
func plainProxy(b *testing.B, upstream string) (address string) {
	b.Helper()
	conn, err := grpc.NewClient(upstream, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(frames{})))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	srv := grpc.NewServer(grpc.ForceServerCodecV2(frames{}), grpc.UnknownServiceHandler(func(_ any, down grpc.ServerStream) error {
		ctx, cancel := context.WithCancel(down.Context())
		defer cancel()
		method, _ := grpc.MethodFromServerStream(down)
		md, _ := metadata.FromIncomingContext(ctx)
		up, err := conn.NewStream(metadata.NewOutgoingContext(ctx, md),
			&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			return err
		}
		go func() {
			if copyMessages(up, down) == io.EOF {
				_ = up.CloseSend()
			}
		}()
		if md, err = up.Header(); err == nil && md != nil {
			_ = down.SendHeader(md)
		}
		err = copyMessages(down, up)
		down.SetTrailer(up.Trailer())
		if err == io.EOF {
			return nil
		}
		return err
	}))
	lis := listen(b)
	run(b, func() error { return srv.Serve(lis) }, srv.Stop)
	return lis.Addr().String()
}

func copyMessages(to interface{ SendMsg(msg any) error }, from interface{ RecvMsg(msg any) error }) error {
	for {
		var msg mem.BufferSlice
		if err := from.RecvMsg(&msg); err != nil {
			return err
		}
		err := to.SendMsg(&msg)
		msg.Free()
		if err != nil {
			return err
		}
	}
}
