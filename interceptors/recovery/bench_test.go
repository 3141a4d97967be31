package recovery_test

import (
	"context"
	"log/slog"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// BenchmarkUnaryServer compares the interceptor with an empty chain, for a unary call
// without a transport.
func BenchmarkUnaryServer(b *testing.B) {
	for _, row := range []struct {
		name         string
		impl         service
		interceptors []hauberk.Interceptor
	}{
		{"empty chain", service{}, nil},
		{"without a panic", service{}, interceptors()},
		{"panic", service{panics: true}, interceptors()},
	} {
		b.Run(row.name, func(b *testing.B) {
			call := unaryCall(hauberk.Must(hauberk.New(row.interceptors...)), row.impl)
			b.ReportAllocs()
			for b.Loop() {
				if err := call(b.Context()); err != nil && !row.impl.panics {
					b.Fatal(err)
				}
			}
		})
	}
}

// A call that does not panic costs no allocation.
func TestAllocations(t *testing.T) {
	count := func(interceptors ...hauberk.Interceptor) float64 {
		call := unaryCall(hauberk.Must(hauberk.New(interceptors...)), service{})
		return testing.AllocsPerRun(1000, func() {
			if err := call(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	if got := count(interceptors()...) - count(); got > 0 {
		t.Errorf("%v allocations beyond the empty chain, budget 0", got)
	}
}

func interceptors() []hauberk.Interceptor {
	return []hauberk.Interceptor{recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))}
}

// unaryCall returns a function that serves a unary call as grpc-go does.
func unaryCall(chain *hauberk.Chain, impl service) func(ctx context.Context) error {
	var registered registrar
	testpb.RegisterTestServiceServer(chain.Registrar(&registered), impl)
	handle := registered.desc.Methods[0].Handler
	decode := func(any) error { return nil }
	return func(ctx context.Context) error {
		_, err := handle(impl, ctx, decode, nil)
		return err
	}
}

type registrar struct{ desc *grpc.ServiceDesc }

func (r *registrar) RegisterService(desc *grpc.ServiceDesc, _ any) { r.desc = desc }

type service struct {
	testpb.UnimplementedTestServiceServer

	panics bool
}

var response = &testpb.Response{}

func (s service) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	if s.panics {
		panic("out of order")
	}
	return response, nil
}
