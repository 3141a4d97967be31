package metricsotel_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats/opentelemetry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// passing is an interceptor that does nothing.
var passing = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
})

// BenchmarkServer serves calls without a network. The cost of the metrics is the difference from an
// idle interceptor.
func BenchmarkServer(b *testing.B) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		for name, interceptor := range map[string]hauberk.Interceptor{"idle": passing, "otel": recording(b)} {
			b.Run(kind.String()+"/"+name, func(b *testing.B) {
				serve := served(chainOf(b, interceptor), kind, &hauberktest.Backend{})
				b.ReportAllocs()
				for b.Loop() {
					_ = serve()
				}
			})
		}
	}
}

func recording(b *testing.B) *metricsotel.Interceptor {
	b.Helper()
	return metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(newRecorder(b)))
}

// BenchmarkClient makes calls that end immediately.
func BenchmarkClient(b *testing.B) {
	m := recording(b)
	for _, c := range []struct {
		name         string
		interceptors []hauberk.Interceptor
	}{
		{"idle", []hauberk.Interceptor{passing}},
		{"otel", []hauberk.Interceptor{m}},
		{"calls and attempts", []hauberk.Interceptor{m.Calls(), m.Attempts()}},
	} {
		b.Run(c.name, func(b *testing.B) {
			call := called(chainOf(b, c.interceptors...), hauberktest.Conn{}, grpc.StaticMethod())
			b.ReportAllocs()
			for b.Loop() {
				_ = call("/shop.v1.Cart/Get")
			}
		})
	}
}

// BenchmarkAgainstGRPC makes unary calls over an in-memory connection. The calls are recorded on both
// sides: not at all, by this package with and without sizes, and by grpc-go's stats/opentelemetry,
// which records sizes.
func BenchmarkAgainstGRPC(b *testing.B) {
	options := opentelemetry.Options{MetricsOptions: opentelemetry.MetricsOptions{MeterProvider: newRecorder(b)}}
	m := recording(b)
	for _, c := range []struct {
		name  string
		chain *hauberk.Chain
		serve []grpc.ServerOption
		dial  []grpc.DialOption
	}{
		{name: "idle", chain: chainOf(b, passing)},
		{name: "otel", chain: chainOf(b, m)},
		{name: "otel and sizes", chain: countingOf(b, m)},
		{
			name: "grpc-go", chain: chainOf(b, passing),
			serve: []grpc.ServerOption{opentelemetry.ServerOption(options)},
			dial:  []grpc.DialOption{opentelemetry.DialOption(options)},
		},
	} {
		b.Run(c.name, func(b *testing.B) {
			env := hauberktest.Start(b, hauberktest.Setup{
				Server: c.chain, ServerOptions: c.serve, DialOptions: append(c.dial, c.chain.DialOptions()...),
			})
			method, resp, static := hauberktest.FullMethod(hauberk.Unary), new(testpb.Response), grpc.StaticMethod()
			b.ReportAllocs()
			for b.Loop() {
				if err := env.Client.Invoke(b.Context(), method, request, resp, static); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
