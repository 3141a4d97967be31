package hedge_test

import (
	"context"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

// quiet are interceptors around calls that end before a hedge would start.
func quiet() map[string]hauberk.Interceptor {
	return map[string]hauberk.Interceptor{
		"idle":          hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error { return next(ctx, c) }),
		"not hedged":    hedge.New(hedge.Config{}),
		"fixed delay":   all(hedge.Config{}),
		"live quantile": all(hedge.Config{DelayQuantile: 0.95}),
	}
}

func quietCall(tb testing.TB, interceptor hauberk.Interceptor) func() {
	tb.Helper()
	conn := hauberk.Must(hauberk.New(interceptor)).ClientConn(hauberktest.Conn{})
	req, resp := &testpb.Request{}, &testpb.Response{}
	return func() {
		if err := conn.Invoke(context.Background(), testpb.TestService_Unary_FullMethodName, req, resp); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkQuiet compares calls that are not hedged, or end before the delay, with an idle interceptor.
func BenchmarkQuiet(b *testing.B) {
	for name, interceptor := range quiet() {
		b.Run(name, func(b *testing.B) {
			one := quietCall(b, interceptor)
			b.ReportAllocs()
			for b.Loop() {
				one()
			}
		})
	}
}

// TestAllocations: a call that is not hedged costs no allocation, and one that ends before the delay
// a bounded number.
func TestAllocations(t *testing.T) {
	measured := make(map[string]float64)
	for name, interceptor := range quiet() {
		measured[name] = testing.AllocsPerRun(1000, quietCall(t, interceptor))
	}
	if measured["not hedged"] > measured["idle"] {
		t.Errorf("%v allocations if the method is not hedged, %v without", measured["not hedged"], measured["idle"])
	}
	for _, name := range []string{"fixed delay", "live quantile"} {
		if extra := measured[name] - measured["idle"]; extra > maxQuiet {
			t.Errorf("%s: %v further allocations, want at most %d", name, extra, maxQuiet)
		}
	}
	t.Log(measured)
}

// maxQuiet are the allocations for an attempt on a copy: the copy, its context, its goroutine, its
// response and its metadata, and the race.
const maxQuiet = 16
