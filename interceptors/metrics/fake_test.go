package metrics_test

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// registry catches the service that a chain registers, so that its handlers can
// be run without a network.
type registry struct {
	desc *grpc.ServiceDesc
	impl any
}

func (r *registry) RegisterService(desc *grpc.ServiceDesc, impl any) { r.desc, r.impl = desc, impl }

// served returns a function that serves one call of a kind behind a chain, on the
// goroutine that calls it. dec decodes the request of a unary call.
func served(chain *hauberk.Chain, kind hauberk.Kind, backend *hauberktest.Backend, dec func(any) error) func() error {
	var r registry
	testpb.RegisterTestServiceServer(chain.Registrar(&r), backend)
	if kind == hauberk.Unary {
		handler, ctx := r.desc.Methods[0].Handler, context.Background()
		return func() error {
			_, err := handler(r.impl, ctx, dec, nil)
			return err
		}
	}
	for _, s := range r.desc.Streams {
		if hauberk.KindOf(s.ClientStreams, s.ServerStreams) == kind {
			return func() error { return s.Handler(r.impl, &serverStream{requests: 1}) }
		}
	}
	panic("no method of kind " + kind.String())
}

func decoded(any) error { return nil }

// serverStream is the stream of a client that sends some requests.
type serverStream struct {
	grpc.ServerStream

	requests int
}

func (s *serverStream) Context() context.Context     { return context.Background() }
func (s *serverStream) SetHeader(metadata.MD) error  { return nil }
func (s *serverStream) SendHeader(metadata.MD) error { return nil }
func (s *serverStream) SetTrailer(metadata.MD)       {}
func (s *serverStream) SendMsg(any) error            { return nil }

func (s *serverStream) RecvMsg(any) error {
	if s.requests == 0 {
		return io.EOF
	}
	s.requests--
	return nil
}

// conn is a connection whose unary calls end at once.
type conn struct{ outcome func(method string) error }

func (c conn) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	if c.outcome == nil {
		return nil
	}
	return c.outcome(method)
}

func (conn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "conn is for unary calls")
}

// called returns a function that makes one unary call through a chain.
func called(chain *hauberk.Chain, c conn) func(method string) error {
	through := chain.ClientConn(c)
	ctx, req, resp := context.Background(), new(testpb.Request), new(testpb.Response)
	return func(method string) error { return through.Invoke(ctx, method, req, resp) }
}

// variants are instances that count what every one does, and all that is counted
// by choice.
func variants() map[string]*metrics.Metrics {
	everything := metrics.New(metrics.Config{Decisions: true, WireSizes: true, ExactMessages: true},
		metrics.WithLabel("tenant", func(context.Context, *hauberk.Call) string { return "acme" }),
		metrics.WithExemplars(byTrace))
	everything.AddRecorder(func(metrics.Identity) metrics.Recorder { return new(tape) })
	return map[string]*metrics.Metrics{"plain": metrics.New(metrics.Config{}), "everything": everything}
}

// chainOf makes a chain.
func chainOf(t testing.TB, links ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	chain, err := hauberk.New(links...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// sideOf returns what was counted on a side.
func sideOf(m *metrics.Metrics, side hauberk.Side) metrics.SideSnapshot {
	if side == hauberk.ClientSide {
		return m.Snapshot().Client
	}
	return m.Snapshot().Server
}

// count returns what was counted of the test service's method of a case, and
// fails if another method, or the other side, has any.
func count(t *testing.T, m *metrics.Metrics, c hauberktest.Case) metrics.MethodSnapshot {
	t.Helper()
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for name, s := range sideOf(m, side).Methods {
			if side != c.Side || name != hauberktest.FullMethod(c.Kind) {
				t.Errorf("%s %s has %+v; want only %s", side, name, s, c)
			}
		}
	}
	return sideOf(m, c.Side).Methods[hauberktest.FullMethod(c.Kind)]
}

// signal is a link that tells of the end of each call.
func signal() (hauberk.Interceptor, <-chan error) {
	ended := make(chan error, 100)
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		ended <- err
		return err
	}), ended
}

var request = &testpb.Request{Text: "hello"}

// refuse is a link that refuses every call.
func refuse(code codes.Code, reason string) hauberk.Interceptor {
	return hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(code, reason, "no")
	})
}
