package requestid_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// BenchmarkUnaryServer compares the interceptor with an empty chain, for a unary call
// without a transport.
func BenchmarkUnaryServer(b *testing.B) {
	for _, row := range []struct {
		name         string
		ctx          context.Context
		interceptors []hauberk.Interceptor
	}{
		{"empty chain", plainContext(), nil},
		{"new id", plainContext(), interceptors(requestid.Config{NoEcho: true})},
		{"new id, echoed", plainContext(), interceptors(requestid.Config{})},
		{"new id, echoed, in the metadata", plainContext(), interceptors(requestid.Config{SetMetadata: true})},
		{"accepted, echoed", contextWithID(), interceptors(requestid.Config{})},
	} {
		b.Run(row.name, func(b *testing.B) {
			call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(row.interceptors...)))
			b.ReportAllocs()
			for b.Loop() {
				if err := call(row.ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUUIDv7(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = requestid.UUIDv7()
	}
}

// The id costs one allocation, and its place in the call's state another.
func TestAllocations(t *testing.T) {
	if got := allocations(t, requestid.Config{NoEcho: true}); got > 2 {
		t.Errorf("%v allocations, budget 2", got)
	}
}

// allocations returns the allocations of a call beyond those of an empty chain.
func allocations(t *testing.T, config requestid.Config) float64 {
	t.Helper()
	count := func(interceptors ...hauberk.Interceptor) float64 {
		call, ctx := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(interceptors...))), plainContext()
		return testing.AllocsPerRun(1000, func() {
			if err := call(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	return count(interceptors(config)...) - count()
}

func interceptors(config requestid.Config) []hauberk.Interceptor {
	return []hauberk.Interceptor{requestid.New(config)}
}

// plainContext is that of an incoming call with ordinary metadata.
func plainContext() context.Context {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(
		":authority", "localhost", "content-type", "application/grpc", "user-agent", "grpc-go", "traceparent", "00"))
	return grpc.NewContextWithServerTransportStream(ctx, new(hauberktest.TransportStream))
}

func contextWithID() context.Context {
	md, _ := metadata.FromIncomingContext(plainContext())
	md.Set(requestid.DefaultHeader, requestid.UUIDv7())
	return metadata.NewIncomingContext(plainContext(), md)
}
