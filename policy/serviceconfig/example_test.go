package serviceconfig_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/policy/serviceconfig"
)

// The service config that grpc-go used before retries within a chain.
func Example() {
	config, err := serviceconfig.Parse([]byte(`{
		"loadBalancingConfig": [{"round_robin": {}}],
		"methodConfig": [{
			"name": [{"service": "hauberk.test.v1.TestService"}],
			"timeout": "5s",
			"retryPolicy": {
				"maxAttempts": 3,
				"initialBackoff": "0.001s",
				"maxBackoff": "1s",
				"backoffMultiplier": 2,
				"retryableStatusCodes": ["UNAVAILABLE"]
			}
		}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	attempts := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		n, _ := retry.Attempt.Get(call)
		err := next(ctx, call)
		fmt.Printf("attempt %d: %v\n", n, status.Code(err))
		return err
	})
	chain := hauberk.Must(hauberk.New(append(config.Client().All(), attempts)...))
	conn := chain.ClientConn(hauberktest.Conn{Outcome: func(string) error {
		return status.Error(codes.Unavailable, "down")
	}})
	_, err = testpb.NewTestServiceClient(conn).Unary(context.Background(), &testpb.Request{})
	fmt.Println(status.Code(err))
	fmt.Println("for grpc-go:", config.Rest())
	// Output:
	// attempt 1: Unavailable
	// attempt 2: Unavailable
	// attempt 3: Unavailable
	// Unavailable
	// for grpc-go: {"loadBalancingConfig": [{"round_robin": {}}]}
}

// What is wrong with a service config is reported with its path.
func ExampleParse() {
	_, err := serviceconfig.Parse([]byte(`{"methodConfig": [{
		"name": [{"service": "shop.v1.Cart"}],
		"timeout": "1m",
		"retryPolicy": {
			"maxAttempts": 1,
			"initialBackoff": "0.1s",
			"maxBackoff": "0s",
			"backoffMultiplier": 2,
			"retryableStatusCodes": ["GONE"]
		}
	}]}`))
	fmt.Println(err)
	// Output:
	// serviceconfig: methodConfig[0].timeout: "1m", want seconds as text, such as "1.5s"
	// serviceconfig: methodConfig[0].retryPolicy.maxAttempts: 1, want a whole number of at least 2
	// serviceconfig: methodConfig[0].retryPolicy.maxBackoff: "0s", want more than 0, such as "1.5s"
	// serviceconfig: methodConfig[0].retryPolicy.retryableStatusCodes[0]: "GONE", want the code of an error, such as "UNAVAILABLE" or 14
}
