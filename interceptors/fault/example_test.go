package fault_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// Half of the attempts of a client fail. Retries hide that from the application.
func Example() {
	faults := fault.New(fault.Config{Seed: 1, Rules: []fault.Rule{
		{Percentage: 50, Abort: &fault.Abort{Code: codes.Unavailable, Message: "made up"}},
	}})
	for _, attempts := range []int{1, 10} {
		retries := retry.New(retry.Config{AllMethods: true, MaxAttempts: attempts, InitialBackoff: time.Microsecond})
		call := hauberktest.Direct{}.Client(hauberk.Must(hauberk.New(retries, faults)))
		failed := 0
		for range 10 {
			if err := call(context.Background()); err != nil {
				failed++
			}
		}
		fmt.Println(attempts, "attempts:", failed, "calls failed")
	}
	// Output:
	// 1 attempts: 2 calls failed
	// 10 attempts: 0 calls failed
}

// A chain with faults says so, before it serves a call.
func ExampleInterceptor_Declare() {
	chain := hauberk.Must(hauberk.New(fault.New(fault.Config{Seed: 1, Rules: []fault.Rule{
		{Methods: []string{"shop.v1.Cart/*"}, Percentage: 10, Delay: time.Second},
	}})))
	for _, finding := range chain.Lint(hauberk.ServerSide) {
		fmt.Println(finding.Outer, "-", finding.Message)
	}
	// Output:
	// fault - faults are injected (seed 1): 10% of the calls of shop.v1.Cart/*: delay of 1s
}

// The response of a handler is lost: the caller cannot know that it has run.
func ExampleMessages() {
	lossy := fault.New(fault.Config{Seed: 1, Rules: []fault.Rule{
		{Percentage: 100, Messages: &fault.Messages{Direction: fault.Responses, Drop: 100}},
	}})
	handled := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		fmt.Println("handler:", status.Code(err))
		return err
	})
	err := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(lossy, handled)))(context.Background())
	fmt.Println("caller:", status.Code(err), hauberk.Reason(err))
	// Output:
	// handler: OK
	// caller: Unavailable FAULT_MESSAGE_DROPPED
}
