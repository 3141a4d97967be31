package retry_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/retrybudget"
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

// A budget that the interceptors of a client share bounds their retries: 0.2 for each call and a
// reserve of ten, and none while most calls fail.
func ExampleWithBudget() {
	budget := retrybudget.New(retrybudget.Config{})
	attempts := 0
	conn := hauberktest.Conn{Outcome: func(string) error {
		attempts++
		return status.Error(codes.Unavailable, "down")
	}}
	config := retry.Config{AllMethods: true, InitialBackoff: time.Microsecond}
	for range 2 {
		chain := hauberk.Must(hauberk.New(retry.New(config, retry.WithBudget(budget))))
		client := testpb.NewTestServiceClient(chain.ClientConn(conn))
		for range 100 {
			_, _ = client.Unary(context.Background(), &testpb.Request{})
		}
	}
	fmt.Println(attempts, "attempts for 200 calls that all fail")
	// Output: 210 attempts for 200 calls that all fail
}

// A call option changes the settings for one call.
func ExampleWith() {
	chain := hauberk.Must(hauberk.New(retry.New(retry.Config{AllMethods: true, InitialBackoff: time.Microsecond})))
	conn := &recovering{}
	client := testpb.NewTestServiceClient(chain.ClientConn(conn))
	_, err := client.Unary(context.Background(), &testpb.Request{}, retry.With(retry.CallConfig{MaxAttempts: 2}))
	fmt.Println(status.Code(err), "after", conn.calls, "attempts")
	// Output: Unavailable after 2 attempts
}

// A stream of positions that breaks goes on from the last one.
func ExampleWithResume() {
	resume := func(_ *hauberk.Method, request, last proto.Message) (proto.Message, error) {
		req, _ := request.(*testpb.Request)
		if last, ok := last.(*testpb.Response); ok {
			req.Text = fmt.Sprint("from ", last.GetIndex()+1)
		}
		return req, nil
	}
	r := retry.New(retry.Config{AllMethods: true}, retry.WithResume(resume))
	_, err := hauberk.New(r)
	fmt.Println(err)
	// Output: <nil>
}
