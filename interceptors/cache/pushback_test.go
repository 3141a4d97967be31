package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// A refresh that fails is not a failure of the handler whose call was answered with the stale answer: its
// client is not asked for anything.
func TestRefreshAsksNoCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := cache.New(cache.Config{TTL: time.Second, StaleWhileRevalidate: time.Hour, Methods: all})
		defer x.Close()
		intercept := hauberk.Must(hauberk.New(x, retry.New(retry.Config{AllMethods: true, MaxAttempts: 2}))).UnaryClientInterceptor()
		attempts := 0
		invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			attempts++
			if attempts == 1 {
				return nil
			}
			return status.Error(codes.Unavailable, "down")
		}
		for range 2 {
			var incoming hauberktest.TransportStream
			ctx := grpc.NewContextWithServerTransportStream(t.Context(), &incoming)
			if err := intercept(ctx, unary, &testpb.Request{}, &testpb.Response{}, nil, invoke); err != nil {
				t.Error(err)
			}
			<-time.After(10 * time.Second)
			synctest.Wait()
			if got := incoming.Trailer.Get("grpc-retry-pushback-ms"); got != nil {
				t.Errorf("the client of the handler gets %q", got)
			}
		}
		if attempts != 3 {
			t.Errorf("%d attempts; want the first and those of a refresh", attempts)
		}
	})
}
