package breaker_test

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// Two consecutive failures open the circuit, which rejects the third call.
func Example() {
	b := breaker.New(breaker.Config{FailureThreshold: 2})
	down := hauberktest.Conn{Outcome: func(string) error { return status.Error(codes.Unavailable, "down") }}
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(b)).ClientConn(down))
	for range 3 {
		_, err := client.Unary(context.Background(), &testpb.Request{})
		fmt.Println(status.Convert(err).Message(), errors.Is(err, breaker.ErrOpen))
	}
	fmt.Println(b.States())
	// Output:
	// down false
	// down false
	// circuit breaker is open true
	// map[hauberk.test.v1.TestService:open]
}
