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

// BenchmarkUnaryServer compares the interceptor with a chain that has none, on a
// unary call without its transport.
func BenchmarkUnaryServer(b *testing.B) {
	ask := []string{decisiontrace.DefaultRequest, "1"}
	alice := []string{auth, "Bearer alice"}
	for _, row := range []struct {
		name         string
		send         []string
		interceptors []hauberk.Interceptor
	}{
		{"authn alone", nil, []hauberk.Interceptor{bearer()}},
		{"is not listed", alice, []hauberk.Interceptor{tells(), bearer()}},
		{"is not listed and asks", append(alice, ask...), []hauberk.Interceptor{tells(), bearer()}},
		{"does not ask", nil, []hauberk.Interceptor{tells(), bearer()}},
		{"is told", ask, []hauberk.Interceptor{tells(), bearer()}},
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

// A caller who is not listed costs a look at the state, one who does not ask
// another at the metadata.
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
		"not listed":     incoming(auth, "Bearer alice"),
		"does not ask":   incoming(),
		"asks, unlisted": incoming(auth, "Bearer alice", decisiontrace.DefaultRequest, "1"),
	} {
		if got := count(ctx, tells(), bearer()) - count(ctx, bearer()); got > 0 {
			t.Errorf("%s: %v allocations, budget 0", name, got)
		}
	}
}

// incoming is the context of an incoming call of ops, unless it is told another
// token, with ordinary metadata.
func incoming(pairs ...string) context.Context {
	md := metadata.Pairs(":authority", "localhost", "content-type", "application/grpc", "user-agent", "grpc-go",
		"traceparent", "00", auth, "Bearer ops")
	for i := 0; i < len(pairs); i += 2 {
		md.Set(pairs[i], pairs[i+1])
	}
	ctx := metadata.NewIncomingContext(context.Background(), md)
	return grpc.NewContextWithServerTransportStream(ctx, new(hauberktest.TransportStream))
}
