package idempotency_test

import (
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// BenchmarkServer is the cost of a first call and of a repeat with keys in memory, and of a call without
// a key.
func BenchmarkServer(b *testing.B) {
	store := idempotency.NewMemory(idempotency.MemoryConfig{MaxKeys: 1 << 26, MaxBytes: 1 << 36})
	chain := hauberk.Must(hauberk.New(idempotency.New(idempotency.Config{}, idempotency.WithStore(store))))
	server := hauberktest.Direct{}.Server(chain)
	for _, c := range []struct {
		name string
		key  func(i int) string
	}{
		{"without", nil},
		{"repeat", func(int) string { return "k" }},
		{"first", strconv.Itoa},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := grpc.NewContextWithServerTransportStream(b.Context(), new(hauberktest.TransportStream))
			for i := 0; b.Loop(); i++ {
				ctx := ctx
				if c.key != nil {
					ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(idempotency.Header, c.key(i)))
				}
				if err := server(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
