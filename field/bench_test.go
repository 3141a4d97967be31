package field_test

import (
	"context"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// withText is a service whose requests have a text.
func withText(kind hauberk.Kind) hauberktest.Direct {
	return hauberktest.Direct{Kind: kind, Decode: func(msg any) error {
		if req, ok := msg.(*testpb.Request); ok {
			req.Text = "shop"
		}
		return nil
	}}
}

// limit is a limit that admits all calls of the benchmarks.
func limit(by callkey.Key) hauberk.Interceptor {
	return ratelimit.New(ratelimit.Config{Limit: 1 << 30, Per: time.Second, By: by})
}

// TestAllocations: to read the request and the key costs no allocation more than to read the request, and Set
// costs that of a value in the state.
func TestAllocations(t *testing.T) {
	read := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if _, err := call.ReadFirst(ctx); err != nil {
			return err
		}
		return next(ctx, call)
	})
	count := func(interceptors ...hauberk.Interceptor) float64 {
		call := withText(hauberk.Unary).Server(hauberk.Must(hauberk.New(interceptors...)))
		return testing.AllocsPerRun(200, func() {
			if err := call(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	base := count(read, limit(callkey.Peer()))
	if got := count(read, limit(field.String("text").Key())); got > base {
		t.Errorf("%v allocations with a key; want the %v without", got, base)
	}
	if got := count(read, limit(callkey.Peer()), field.Set(projectKey, field.String("text"))); got > base+1 {
		t.Errorf("%v allocations with Set; want at most one more than %v", got, base)
	}
}

// BenchmarkServer is a call that is limited by its peer, by a field, and by a field that Set has kept.
func BenchmarkServer(b *testing.B) {
	f := field.String("text")
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		for name, interceptors := range map[string][]hauberk.Interceptor{
			"peer":  {limit(callkey.Peer())},
			"field": {limit(f.Key())},
			"set":   {field.Set(projectKey, f), limit(callkey.State(projectKey))},
		} {
			b.Run(kind.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				call := withText(kind).Server(hauberk.Must(hauberk.New(interceptors...)))
				for b.Loop() {
					if err := call(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
