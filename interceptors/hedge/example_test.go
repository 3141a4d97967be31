package hedge_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// slowOnce is a connection whose first call hangs.
type slowOnce struct {
	grpc.ClientConnInterface

	slow chan struct{} // has a value until then
}

func newSlowOnce() *slowOnce {
	s := &slowOnce{slow: make(chan struct{}, 1)}
	s.slow <- struct{}{}
	return s
}

func (s *slowOnce) Invoke(ctx context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	select {
	case <-s.slow:
		<-ctx.Done()
		return ctx.Err()
	default:
		proto.Merge(reply.(proto.Message), &testpb.Response{Text: "the price is 5"})
		return nil
	}
}

// The first attempt hangs, and the second one answers.
func Example() {
	chain := hauberk.Must(hauberk.New(
		hedge.New(hedge.Config{
			Methods: []string{"hauberk.test.v1.TestService/Unary"}, // its proto sets no idempotency_level
			Delay:   5 * time.Millisecond,
		}),
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			fmt.Printf("attempt %d: %s\n", hedge.Attempt.Or(ctx, 0), hauberk.CodeOf(err))
			return err
		}),
	))
	client := testpb.NewTestServiceClient(chain.ClientConn(newSlowOnce()))
	resp, err := client.Unary(context.Background(), &testpb.Request{})
	fmt.Println(resp.GetText(), err)
	// Output:
	// attempt 2: OK
	// attempt 1: Canceled
	// the price is 5 <nil>
}

// The delay follows the latency of each method. All attempts of hedges are within a budget, which
// retries can share.
func Example_quantile() {
	budget := retrybudget.New(retrybudget.Config{Ratio: 0.1})
	chain, err := hauberk.New(hedge.New(hedge.Config{
		DelayQuantile: 0.95,
		MinDelay:      2 * time.Millisecond,
		MaxDelay:      500 * time.Millisecond,
		Delay:         50 * time.Millisecond, // until the latency of a method is known
	}, hedge.WithBudget(budget)))
	fmt.Println(chain != nil, err)
	// Output: true <nil>
}

// Wrong settings are errors of hauberk.New.
func ExampleNew_errors() {
	_, err := hauberk.New(hedge.New(hedge.Config{MaxAttempts: 9, DelayQuantile: 95}))
	fmt.Println(err)
	// Output:
	// hauberk: interceptor 1: hedge: MaxAttempts is 9; want 1 to 5
	// hauberk: interceptor 1: hedge: DelayQuantile is 95; want more than 0 and less than 1, or 0 for the fixed Delay
}

// One call is not hedged.
func ExampleDisable() {
	chain := hauberk.Must(hauberk.New(hedge.New(hedge.Config{AllMethods: true, Delay: time.Millisecond})))
	client := testpb.NewTestServiceClient(chain.ClientConn(newSlowOnce()))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := client.Unary(ctx, &testpb.Request{}, hedge.Disable())
	fmt.Println(hauberk.CodeOf(err))
	// Output: DeadlineExceeded
}
