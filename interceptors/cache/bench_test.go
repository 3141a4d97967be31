package cache_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
)

// BenchmarkCache is the cost of an answer from memory, next to a call without a cache and one of a method
// that is not cached.
func BenchmarkCache(b *testing.B) {
	hit := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: true})
	for _, c := range []struct {
		name  string
		chain []hauberk.Interceptor
	}{
		{"without", nil},
		{"hit", []hauberk.Interceptor{hit}},
		{"not covered", []hauberk.Interceptor{cache.New(cache.Config{TTL: time.Hour})}},
	} {
		chain := hauberk.Must(hauberk.New(c.chain...))
		ctx := grpc.NewContextWithServerTransportStream(b.Context(), new(hauberktest.TransportStream))
		server, client := hauberktest.Direct{}.Server(chain), hauberktest.Direct{}.Client(chain)
		for side, call := range map[string]func() error{
			"server": func() error { return server(ctx) },
			"client": func() error { return client(b.Context()) },
		} {
			b.Run(side+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := call(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
