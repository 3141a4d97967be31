package decisiontrace_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
)

// BenchmarkUnaryServer compares the interceptor with a chain that has none, on a
// unary call without its transport.
func BenchmarkUnaryServer(b *testing.B) {
	ask := []string{decisiontrace.DefaultRequest, "1"}
	alice := []string{auth, "Bearer alice"}
	for _, row := range []struct {
		name  string
		send  []string
		links []hauberk.Interceptor
	}{
		{"authn alone", nil, []hauberk.Interceptor{bearer()}},
		{"is not listed", alice, []hauberk.Interceptor{tells(), bearer()}},
		{"is not listed and asks", append(alice, ask...), []hauberk.Interceptor{tells(), bearer()}},
		{"does not ask", nil, []hauberk.Interceptor{tells(), bearer()}},
		{"is told", ask, []hauberk.Interceptor{tells(), bearer()}},
	} {
		b.Run(row.name, func(b *testing.B) {
			call, ctx := unaryCall(hauberk.Must(hauberk.New(row.links...))), incoming(row.send...)
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
	count := func(ctx context.Context, links ...hauberk.Interceptor) float64 {
		call := unaryCall(hauberk.Must(hauberk.New(links...)))
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
	return grpc.NewContextWithServerTransportStream(ctx, transportStream{new(metadata.MD)})
}

// unaryCall returns a function that serves a unary call as grpc-go does.
func unaryCall(chain *hauberk.Chain) func(ctx context.Context) error {
	var registered registrar
	testpb.RegisterTestServiceServer(chain.Registrar(&registered), service{})
	handle := registered.desc.Methods[0].Handler
	decode := func(any) error { return nil }
	return func(ctx context.Context) error {
		_, err := handle(service{}, ctx, decode, nil)
		return err
	}
}

type registrar struct{ desc *grpc.ServiceDesc }

func (r *registrar) RegisterService(desc *grpc.ServiceDesc, _ any) { r.desc = desc }

type service struct {
	testpb.UnimplementedTestServiceServer
}

var response = &testpb.Response{}

func (service) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	return response, nil
}

// transportStream keeps a trailer as grpc-go's does.
type transportStream struct{ trailer *metadata.MD }

func (s transportStream) SetTrailer(md metadata.MD) error {
	*s.trailer = metadata.Join(nil, md)
	return nil
}
func (transportStream) SetHeader(metadata.MD) error         { return nil }
func (transportStream) SendHeader(metadata.MD) error        { return nil }
func (transportStream) Method() string                      { return "" }
func (transportStream) WriteStatus(st *status.Status) error { return st.Err() }
