package breaker_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// BenchmarkClosed compares a closed breaker with an idle interceptor.
func BenchmarkClosed(b *testing.B) {
	idle := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })
	all := map[string]hauberk.Interceptor{"idle": idle}
	for name := range windowed {
		all[name] = breaker.New(windowed[name])
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run(name, func(b *testing.B) {
			conn := hauberk.Must(hauberk.New(all[name])).ClientConn(hauberktest.Conn{})
			req, resp := &testpb.Request{}, &testpb.Response{}
			b.ReportAllocs()
			for b.Loop() {
				_ = conn.Invoke(context.Background(), testpb.TestService_Unary_FullMethodName, req, resp)
			}
		})
	}
}
