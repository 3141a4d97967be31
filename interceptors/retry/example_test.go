package retry_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// recovering is a connection on which the first two calls fail.
type recovering struct {
	grpc.ClientConnInterface

	calls int
}

func (r *recovering) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	r.calls++
	if r.calls < 3 {
		return status.Error(codes.Unavailable, "starting up")
	}
	return nil
}

// Interceptors inside retry run once for each attempt.
func Example() {
	attempts := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		fmt.Printf("attempt %d: %s\n", retry.Attempt.Or(ctx, 0), status.Code(err))
		return err
	})
	chain := hauberk.Must(hauberk.New(
		retry.New(retry.Config{
			Methods:     []string{"hauberk.test.v1.TestService/Unary"}, // its proto sets no idempotency_level
			MaxAttempts: 4, InitialBackoff: time.Millisecond,
		}),
		attempts,
	))
	client := testpb.NewTestServiceClient(chain.ClientConn(&recovering{}))
	_, err := client.Unary(context.Background(), &testpb.Request{})
	fmt.Println("call:", status.Code(err))
	// Output:
	// attempt 1: Unavailable
	// attempt 2: Unavailable
	// attempt 3: OK
	// call: OK
}
