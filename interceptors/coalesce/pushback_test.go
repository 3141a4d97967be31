package coalesce_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// The clients of all handlers whose calls share a flight are asked not to retry its failure, which was
// retried inside of it: layers of retries do not multiply.
func TestPushback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		intercept := hauberk.Must(hauberk.New(coalesce.New(shared()),
			retry.New(retry.Config{AllMethods: true, MaxAttempts: 2}))).UnaryClientInterceptor()
		attempts := 0
		invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			attempts++
			<-time.After(time.Second)
			return status.Error(codes.Unavailable, "down")
		}
		var incoming [3]hauberktest.TransportStream
		var handlers sync.WaitGroup
		for i := range incoming {
			handlers.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ctx = grpc.NewContextWithServerTransportStream(ctx, &incoming[i])
				err := intercept(ctx, testpb.TestService_Unary_FullMethodName, &testpb.Request{}, &testpb.Response{}, nil, invoke)
				if status.Code(err) != codes.Unavailable {
					t.Error(err)
				}
			})
		}
		handlers.Wait()
		if attempts != 2 {
			t.Errorf("%d attempts; want those of one flight", attempts)
		}
		for i := range incoming {
			if got := incoming[i].Trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "-1" {
				t.Errorf("the client of handler %d gets %q", i, got)
			}
		}
	})
}
