package metrics_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// served returns a function that serves one call of a kind through a chain, on the calling
// goroutine.
func served(chain *hauberk.Chain, kind hauberk.Kind, backend *hauberktest.Backend) func() error {
	return servedDecoding(chain, kind, backend, nil)
}

// servedDecoding is served with a decoder for the request.
func servedDecoding(chain *hauberk.Chain, kind hauberk.Kind, backend *hauberktest.Backend, dec func(any) error) func() error {
	serve, ctx := hauberktest.Direct{Kind: kind, Service: backend, Decode: dec}.Server(chain), context.Background()
	return func() error { return serve(ctx) }
}

// called returns a function that makes one unary call through a chain.
func called(chain *hauberk.Chain, c hauberktest.Conn) func(method string) error {
	through := chain.ClientConn(c)
	ctx, req, resp := context.Background(), new(testpb.Request), new(testpb.Response)
	return func(method string) error { return through.Invoke(ctx, method, req, resp) }
}

// variants returns interceptors with the default configuration and with all optional numbers.
func variants() map[string]*metrics.Interceptor {
	everything := metrics.New(metrics.Config{Decisions: true, CountBytes: true, ExactMessages: true},
		metrics.WithLabel("tenant", func(context.Context, *hauberk.Call) string { return "acme" }),
		metrics.WithExemplars(byTrace))
	everything.AddRecorder(func(metrics.Identity) metrics.Recorder { return new(tape) })
	return map[string]*metrics.Interceptor{"plain": metrics.New(metrics.Config{}), "everything": everything}
}

// chainOf returns a chain.
func chainOf(t testing.TB, interceptors ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// sideOf returns the snapshot of a side.
func sideOf(m *metrics.Interceptor, side hauberk.Side) metrics.SideSnapshot {
	if side == hauberk.ClientSide {
		return m.Snapshot().Client
	}
	return m.Snapshot().Server
}

// count returns the numbers of the test service's method of a case. It fails if another method or
// the other side has numbers.
func count(t *testing.T, m *metrics.Interceptor, c hauberktest.Case) metrics.MethodSnapshot {
	t.Helper()
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for name, s := range sideOf(m, side).Methods {
			if side != c.Side || name != hauberktest.FullMethod(c.Kind) {
				t.Errorf("%s %s has %+v; want numbers of %s only", side, name, s, c)
			}
		}
	}
	return sideOf(m, c.Side).Methods[hauberktest.FullMethod(c.Kind)]
}

// signal returns an interceptor that sends the outcome of each call to a channel.
func signal() (hauberk.Interceptor, <-chan error) {
	ended := make(chan error, 100)
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		ended <- err
		return err
	}), ended
}

var request = &testpb.Request{Text: "hello"}

// reject is an interceptor that rejects every call.
func reject(code codes.Code, reason string) hauberk.Interceptor {
	return hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(code, reason, "no")
	})
}
