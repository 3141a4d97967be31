package metrics_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// compared returns the chains to compare: one with an interceptor that does nothing, one with
// metrics in its place, and those with optional numbers. The difference of the first two is the
// cost of metrics. The budget is 120 ns and no allocation.
func compared(b *testing.B) []candidate {
	return []candidate{
		{"idle", chainOf(b, passing)},
		{"metrics", chainOf(b, metrics.New(metrics.Config{}))},
		{"exact", chainOf(b, metrics.New(metrics.Config{ExactMessages: true}))},
		{"labels", chainOf(b, metrics.New(metrics.Config{}, metrics.WithLabel("tenant", fixedLabel)))},
		{"exemplars", chainOf(b, metrics.New(metrics.Config{}, metrics.WithExemplars(fixedExemplar)))},
		{"decisions", chainOf(b, metrics.New(metrics.Config{Decisions: true}))},
	}
}

func fixedLabel(context.Context, *hauberk.Call) string { return "acme" }

func fixedExemplar(context.Context, *hauberk.Call) map[string]string {
	return map[string]string{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
}

type candidate struct {
	name  string
	chain *hauberk.Chain
}

// BenchmarkServer serves calls without a network.
func BenchmarkServer(b *testing.B) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		for _, c := range compared(b) {
			b.Run(kind.String()+"/"+c.name, func(b *testing.B) {
				serve := served(c.chain, kind, &hauberktest.Backend{})
				b.ReportAllocs()
				for b.Loop() {
					if err := serve(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkServerFailing serves calls that fail.
func BenchmarkServerFailing(b *testing.B) {
	failed := status.Error(codes.NotFound, "no")
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return failed }}
	for _, c := range compared(b) {
		b.Run(c.name, func(b *testing.B) {
			serve := served(c.chain, hauberk.Unary, backend)
			b.ReportAllocs()
			for b.Loop() {
				_ = serve()
			}
		})
	}
}

// BenchmarkServerParallel serves calls of one method on all cores, which share its counters.
func BenchmarkServerParallel(b *testing.B) {
	for _, c := range compared(b) {
		b.Run(c.name, func(b *testing.B) {
			serve := served(c.chain, hauberk.Unary, &hauberktest.Backend{})
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_ = serve()
				}
			})
		})
	}
}

// BenchmarkClient makes calls that end immediately.
func BenchmarkClient(b *testing.B) {
	for _, c := range compared(b) {
		b.Run(c.name, func(b *testing.B) {
			call, method := called(c.chain, hauberktest.Conn{}), hauberktest.FullMethod(hauberk.Unary)
			b.ReportAllocs()
			for b.Loop() {
				_ = call(method)
			}
		})
	}
}

// BenchmarkSnapshot reads the numbers of 100 methods.
func BenchmarkSnapshot(b *testing.B) {
	m := metrics.New(metrics.Config{})
	call := called(chainOf(b, m), hauberktest.Conn{})
	for i := range 100 {
		_ = call("/shop.v1.Cart/Get" + string(rune('A'+i)))
	}
	b.Run("Snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Snapshot()
		}
	})
	b.Run("Series", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Series()
		}
	})
}

// BenchmarkSeriesWithStreams reads the series while streams of one method are open. Each of them
// needs the method's lock to begin and to end.
func BenchmarkSeriesWithStreams(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 50_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			m := metrics.New(metrics.Config{})
			conn := chainOf(b, m).ClientConn(hauberktest.Conn{})
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
			open := make([]grpc.ClientStream, 0, n)
			for range n {
				stream, err := conn.NewStream(ctx, desc, "/shop.v1.Cart/Watch")
				if err != nil {
					b.Fatal(err)
				}
				open = append(open, stream)
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Series()
			}
			runtime.KeepAlive(open)
		})
	}
}
