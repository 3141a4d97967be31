package metrics_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

func Example() {
	clock := hauberktest.NewClock() // a program uses the default clock
	calls := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now))
	chain := hauberk.Must(hauberk.New(
		calls, // outside all interceptors that may reject a call
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if call.Method().Name() == "Pay" {
				return hauberk.Reject(codes.ResourceExhausted, "RATE_LIMITED", "too many calls")
			}
			return next(ctx, call)
		}),
	))

	// A program calls chain.NewServer() instead.
	serve := chain.UnaryServerInterceptor()
	handler := func(context.Context, any) (any, error) {
		clock.Advance(20 * time.Millisecond)
		return "response", nil
	}
	for _, method := range []string{"/shop.v1.Cart/Get", "/shop.v1.Cart/Get", "/shop.v1.Cart/Pay"} {
		_, _ = serve(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: method}, handler)
	}

	snapshot := calls.Snapshot().Server
	for _, method := range []string{"/shop.v1.Cart/Get", "/shop.v1.Cart/Pay"} {
		m := snapshot.Methods[method]
		fmt.Println(method, m.Calls, "calls,", m.Errors, "errors, codes", m.Codes, "mean", m.Mean)
	}
	fmt.Println("rejected", snapshot.Rejections)
	// Output:
	// /shop.v1.Cart/Get 2 calls, 0 errors, codes map[OK:2] mean 20ms
	// /shop.v1.Cart/Pay 1 calls, 1 errors, codes map[ResourceExhausted:1] mean 0s
	// rejected map[RATE_LIMITED:1]
}
