package authzext_test

import (
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

// BenchmarkCheck is what a check costs a call, beyond the bare chain ("none"): without the way to
// the service, over a connection on 127.0.0.1, and with an answer from the cache.
func BenchmarkCheck(b *testing.B) {
	encoded, err := proto.Marshal(allowed())
	if err != nil {
		b.Fatal(err)
	}
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(
		":authority", "shop.example", "content-type", "application/grpc", "user-agent", "grpc-go/1.85.0", "authorization", "Bearer token"))
	ctx = peer.NewContext(ctx, peerAt(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234}, nil))
	benchmarks := []struct {
		name   string
		config authzext.Config
		conn   func() grpc.ClientConnInterface
	}{
		{"none", authzext.Config{}, nil},
		{"in process", authzext.Config{}, func() grpc.ClientConnInterface { return wire{answer: encoded} }},
		{"socket", authzext.Config{}, func() grpc.ClientConnInterface { return always(allowed()).dial(b) }},
		{"cached", authzext.Config{CacheFor: time.Hour}, func() grpc.ClientConnInterface { return wire{answer: encoded} }},
		{"cached, one header", authzext.Config{CacheFor: time.Hour, Headers: []string{"authorization"}}, func() grpc.ClientConnInterface { return wire{answer: encoded} }},
	}
	for i := range benchmarks {
		m := &benchmarks[i]
		b.Run(m.name, func(b *testing.B) {
			var interceptors []hauberk.Interceptor
			if m.conn != nil {
				config := m.config
				config.Conn, config.Timeout = m.conn(), long
				interceptors = append(interceptors, authzext.New(config))
			}
			serve := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(interceptors...)))
			b.ReportAllocs()
			for b.Loop() {
				if err := serve(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
