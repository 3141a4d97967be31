package version_test

import (
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/version"
)

// BenchmarkAdmitted is a unary call that a rule admits, and one without interceptors.
func BenchmarkAdmitted(b *testing.B) {
	ctx := agent("user-agent", "shop/2.1.0 grpc-go/1.85.0")
	for name, interceptors := range map[string][]hauberk.Interceptor{
		"bare":    nil,
		"version": {version.New(version.Config{Rules: []version.Rule{{Client: "shop", Versions: ">=2, !=2.0.1"}}})},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(interceptors...)))
			for b.Loop() {
				if err := call(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
