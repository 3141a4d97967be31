package tracing_test

import (
	"context"
	"net"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// BenchmarkUnary compares a chain with tracing and an empty chain, for unary calls without a transport.
// bench/ measures otelgrpc.
func BenchmarkUnary(b *testing.B) {
	for _, row := range []struct {
		name         string
		interceptors []hauberk.Interceptor
	}{
		{"empty chain", nil},
		{"sampled", []hauberk.Interceptor{discarding(sdktrace.AlwaysSample())}},
		{"unsampled", []hauberk.Interceptor{discarding(sdktrace.NeverSample())}},
		{"no provider", []hauberk.Interceptor{
			tracing.New(tracing.Config{}, tracing.WithTracerProvider(noop.NewTracerProvider())),
		}},
	} {
		chain := hauberk.Must(hauberk.New(row.interceptors...))
		for side, call := range map[string]func() error{
			"server": served(chain, callerContext(sampled)), "client": called(chain, context.Background()),
		} {
			b.Run(side+"/"+row.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := call(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// discarding returns an interceptor whose spans are discarded.
func discarding(sampler sdktrace.Sampler) hauberk.Interceptor {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(discard{}))
	return tracing.New(tracing.Config{}, tracing.WithTracerProvider(provider))
}

type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

// callerContext returns the context of a call on a server whose caller sends a traceparent.
func callerContext(traceparent string) context.Context {
	ctx := peer.NewContext(context.Background(), &peer.Peer{
		Addr:      &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001},
		LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 50051},
	})
	md := metadata.Pairs("user-agent", "test", ":authority", "localhost", "content-type", "application/grpc")
	if traceparent != "" {
		md.Set("traceparent", traceparent)
	}
	return metadata.NewIncomingContext(ctx, md)
}

type registrar struct{ desc *grpc.ServiceDesc }

func (r *registrar) RegisterService(desc *grpc.ServiceDesc, _ any) { r.desc = desc }

// served returns a function that serves a unary call on the calling goroutine.
func served(chain *hauberk.Chain, ctx context.Context) func() error { //nolint:revive // the context is that of the call
	var r registrar
	testpb.RegisterTestServiceServer(chain.Registrar(&r), &fixed{})
	handle, decode := r.desc.Methods[0].Handler, func(any) error { return nil }
	return func() error {
		_, err := handle(&fixed{}, ctx, decode, nil)
		return err
	}
}

var response = &testpb.Response{}

type fixed struct {
	testpb.UnimplementedTestServiceServer
}

func (*fixed) Unary(context.Context, *testpb.Request) (*testpb.Response, error) { return response, nil }

// called returns a function that makes a unary call on a client without a transport.
func called(chain *hauberk.Chain, ctx context.Context) func() error { //nolint:revive // the context is that of the call
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	method, request, reply := hauberktest.FullMethod(hauberk.Unary), &testpb.Request{}, &testpb.Response{}
	call := chain.UnaryClientInterceptor()
	return func() error { return call(ctx, method, request, reply, nil, invoke) }
}
