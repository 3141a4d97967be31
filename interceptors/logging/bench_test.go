package logging_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

var requestID = hauberk.NewKey[string]("request_id")

// BenchmarkUnaryServer compares the interceptor with an empty chain, for a unary call
// without a transport. The record has about ten attributes, and the writer discards it.
func BenchmarkUnaryServer(b *testing.B) {
	for _, row := range []*struct {
		name    string
		err     error
		handler slog.Handler // nil for no interceptor
		config  logging.Config
	}{
		{"empty chain", nil, nil, logging.Config{}},
		{"JSON", nil, slog.NewJSONHandler(io.Discard, nil), logging.Config{}},
		{"text", nil, slog.NewTextHandler(io.Discard, nil), logging.Config{}},
		{"discarding handler", nil, slog.DiscardHandler, logging.Config{}},
		{"not enabled", nil, slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}), logging.Config{}},
		{"off by a rule", nil, slog.NewJSONHandler(io.Discard, nil), rules(logging.Rule{Methods: []string{"*"}, Off: true})},
		{"sampled out", nil, slog.NewJSONHandler(io.Discard, nil), logging.Config{Sampling: logging.Sampling{OneIn: 1 << 30}}},
		{"JSON, failed", status.Error(codes.NotFound, "no such cart"), slog.NewJSONHandler(io.Discard, nil), logging.Config{}},
		{"JSON, messages", nil, slog.NewJSONHandler(io.Discard, nil), logging.Config{Messages: true}},
		{"JSON, payloads", nil, slog.NewJSONHandler(io.Discard, nil), logging.Config{Payloads: logging.Payloads{On: true}}},
	} {
		b.Run(row.name, func(b *testing.B) {
			call := hauberktest.Direct{Service: service{err: row.err}}.Server(chainWith(row.handler, row.config))
			ctx := callContext()
			b.ReportAllocs()
			for b.Loop() {
				_ = call(ctx)
			}
		})
	}
}

// chainWith returns a chain with an interceptor that sets an id, and logging if there is
// a handler.
func chainWith(h slog.Handler, config logging.Config, options ...logging.Option) *hauberk.Chain {
	const id = "0198c7c6-6c5e-7d7a-9f7e-0c0b7d2f4a11"
	interceptors := []hauberk.Interceptor{hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		requestID.Set(call, id)
		return next(ctx, call)
	})}
	if h != nil {
		options = append(options, logging.WithLogger(slog.New(h)), logging.State("request_id", requestID))
		interceptors = append(interceptors, logging.New(config, options...))
	}
	return hauberk.Must(hauberk.New(interceptors...))
}

func callContext() context.Context {
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001}
	return peer.NewContext(context.Background(), &peer.Peer{Addr: addr})
}

type service struct {
	testpb.UnimplementedTestServiceServer

	err error
}

var response = &testpb.Response{}

func (s service) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	return response, s.err
}

// BenchmarkQueue measures the cost of a record for the call if another goroutine writes or
// drops it.
func BenchmarkQueue(b *testing.B) {
	x := logging.New(logging.Config{Queue: 1 << 12}, logging.WithLogger(slog.New(slog.NewJSONHandler(io.Discard, nil))))
	call, ctx := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x))), callContext()
	b.ReportAllocs()
	for b.Loop() {
		_ = call(ctx)
	}
	b.ReportMetric(float64(x.Dropped())/float64(b.N), "dropped/op")
	if err := x.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRejected measures a rejected call, whose record has the decision.
func BenchmarkRejected(b *testing.B) {
	x := logging.New(logging.Config{}, logging.WithLogger(slog.New(slog.NewJSONHandler(io.Discard, nil))))
	call, ctx := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x, decider{"authz", true}))), callContext()
	b.ReportAllocs()
	for b.Loop() {
		_ = call(ctx)
	}
}
