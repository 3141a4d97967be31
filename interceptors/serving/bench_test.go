package serving_test

import (
	"context"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// BenchmarkAccepted is a call that the state accepts, and one without interceptors.
func BenchmarkAccepted(b *testing.B) {
	for name, interceptors := range map[string][]hauberk.Interceptor{
		"bare":    nil,
		"serving": {serving.New(serving.Config{Initial: serving.Serving})},
	} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
			b.Run(name+"/"+kind.String(), func(b *testing.B) {
				b.ReportAllocs()
				call := hauberktest.Direct{Kind: kind}.Server(hauberk.Must(hauberk.New(interceptors...)))
				for b.Loop() {
					if err := call(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// An accepted unary call costs no allocation, and a stream those of its context and its entry.
func TestAllocations(t *testing.T) {
	for kind, most := range map[hauberk.Kind]float64{hauberk.Unary: 0, hauberk.Bidi: 6} {
		allocs := func(x ...hauberk.Interceptor) float64 {
			call := hauberktest.Direct{Kind: kind}.Server(hauberk.Must(hauberk.New(x...)))
			return testing.AllocsPerRun(100, func() {
				if err := call(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		}
		pass := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })
		if got := allocs(serving.New(serving.Config{Initial: serving.Serving})) - allocs(pass); got > most {
			t.Errorf("%v: %v allocations; want at most %v", kind, got, most)
		}
	}
}
