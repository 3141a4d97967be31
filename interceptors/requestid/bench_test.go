package requestid_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// BenchmarkUnaryServer compares the interceptor with a chain that has none, on a
// unary call without its transport.
func BenchmarkUnaryServer(b *testing.B) {
	for _, row := range []struct {
		name  string
		ctx   context.Context
		links []hauberk.Interceptor
	}{
		{"empty chain", plainContext(), nil},
		{"new id", plainContext(), links(requestid.Config{NoEcho: true})},
		{"new id, echoed", plainContext(), links(requestid.Config{})},
		{"new id, echoed, in the metadata", plainContext(), links(requestid.Config{SetMetadata: true})},
		{"taken, echoed", contextWithID(), links(requestid.Config{})},
	} {
		b.Run(row.name, func(b *testing.B) {
			call := unaryCall(hauberk.Must(hauberk.New(row.links...)))
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

// The id is one allocation, its place in the call's state another.
func TestAllocations(t *testing.T) {
	if got := allocations(t, requestid.Config{NoEcho: true}); got > 2 {
		t.Errorf("%v allocations, budget 2", got)
	}
}

// allocations returns how many a call makes beyond those of an empty chain.
func allocations(t *testing.T, config requestid.Config) float64 {
	t.Helper()
	count := func(links ...hauberk.Interceptor) float64 {
		call, ctx := unaryCall(hauberk.Must(hauberk.New(links...))), plainContext()
		return testing.AllocsPerRun(1000, func() {
			if err := call(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	return count(links(config)...) - count()
}

func links(config requestid.Config) []hauberk.Interceptor {
	return []hauberk.Interceptor{requestid.New(config)}
}

// plainContext is that of an incoming call with ordinary metadata.
func plainContext() context.Context {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(
		":authority", "localhost", "content-type", "application/grpc", "user-agent", "grpc-go", "traceparent", "00"))
	return grpc.NewContextWithServerTransportStream(ctx, transportStream{new(metadata.MD)})
}

func contextWithID() context.Context {
	md, _ := metadata.FromIncomingContext(plainContext())
	md.Set(requestid.DefaultHeader, requestid.UUIDv7())
	return metadata.NewIncomingContext(plainContext(), md)
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

// transportStream keeps a header as grpc-go's does.
type transportStream struct{ header *metadata.MD }

func (s transportStream) SetHeader(md metadata.MD) error {
	*s.header = metadata.Join(nil, md)
	return nil
}
func (transportStream) SendHeader(metadata.MD) error        { return nil }
func (transportStream) SetTrailer(metadata.MD) error        { return nil }
func (transportStream) Method() string                      { return "" }
func (transportStream) WriteStatus(st *status.Status) error { return st.Err() }
