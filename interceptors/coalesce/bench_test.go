package coalesce_test

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
)

// BenchmarkCoalesce is the cost of a flight with one caller, and of equal calls in parallel.
func BenchmarkCoalesce(b *testing.B) {
	chain := hauberk.Must(hauberk.New(coalesce.New(shared())))
	server := hauberktest.Direct{}.Server(chain)
	b.Run("alone", func(b *testing.B) {
		ctx := grpc.NewContextWithServerTransportStream(b.Context(), new(hauberktest.TransportStream))
		b.ReportAllocs()
		for b.Loop() {
			if err := server(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			ctx := grpc.NewContextWithServerTransportStream(b.Context(), new(hauberktest.TransportStream))
			for pb.Next() {
				if err := server(ctx); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
