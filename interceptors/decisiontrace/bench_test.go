package decisiontrace_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
)

// BenchmarkUnaryServer compares chains with and without the interceptor, for unary calls without a
// transport.
func BenchmarkUnaryServer(b *testing.B) {
	ask := []string{decisiontrace.DefaultRequest, "1"}
	alice := []string{auth, "Bearer alice"}
	for _, row := range []struct {
		name         string
		send         []string
		interceptors []hauberk.Interceptor
	}{
		{"authn alone", nil, []hauberk.Interceptor{bearer()}},
		{"not listed", alice, []hauberk.Interceptor{traces(), bearer()}},
		{"not listed, requests", append(alice, ask...), []hauberk.Interceptor{traces(), bearer()}},
		{"does not request", nil, []hauberk.Interceptor{traces(), bearer()}},
		{"receives the trace", ask, []hauberk.Interceptor{traces(), bearer()}},
	} {
		b.Run(row.name, func(b *testing.B) {
			call, ctx := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(row.interceptors...))), incoming(row.send...)
			b.ReportAllocs()
			for b.Loop() {
				if err := call(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A call of an unlisted caller, or without a request for the trace, allocates nothing.
func TestAllocations(t *testing.T) {
	count := func(ctx context.Context, interceptors ...hauberk.Interceptor) float64 {
		call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(interceptors...)))
		return testing.AllocsPerRun(1000, func() {
			if err := call(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	for name, ctx := range map[string]context.Context{
		"not listed":           incoming(auth, "Bearer alice"),
		"does not request":     incoming(),
		"requests, not listed": incoming(auth, "Bearer alice", decisiontrace.DefaultRequest, "1"),
	} {
		if got := count(ctx, traces(), bearer()) - count(ctx, bearer()); got > 0 {
			t.Errorf("%s: %v allocations, budget 0", name, got)
		}
	}
}

// incoming returns the context of an incoming call with ordinary metadata. The caller is ops unless pairs
// contains another token.
func incoming(pairs ...string) context.Context {
	md := metadata.Pairs(":authority", "localhost", "content-type", "application/grpc", "user-agent", "grpc-go",
		"traceparent", "00", auth, "Bearer ops")
	for i := 0; i < len(pairs); i += 2 {
		md.Set(pairs[i], pairs[i+1])
	}
	ctx := metadata.NewIncomingContext(context.Background(), md)
	return grpc.NewContextWithServerTransportStream(ctx, new(hauberktest.TransportStream))
}
