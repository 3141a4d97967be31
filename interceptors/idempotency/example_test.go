package idempotency_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// An order is executed once. Its key cannot be used for another order.
func Example() {
	chain := hauberk.Must(hauberk.New(idempotency.New(idempotency.Config{})))
	orders := 0
	call := func(order, key string) {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(idempotency.Header, key))
		info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_Unary_FullMethodName}
		got, err := chain.UnaryServerInterceptor()(ctx, &testpb.Request{Text: order}, info,
			func(context.Context, any) (any, error) {
				orders++
				return &testpb.Response{Text: fmt.Sprint("order ", orders)}, nil
			})
		if err != nil {
			fmt.Println(order, hauberk.Reason(err))
			return
		}
		fmt.Println(order, got.(*testpb.Response).GetText())
	}
	call("helmet", "8e03978e")
	call("helmet", "8e03978e")
	call("shield", "8e03978e")
	call("shield", "9f14a89f")
	// Output:
	// helmet order 1
	// helmet order 1
	// shield IDEMPOTENCY_KEY_REUSED
	// shield order 2
}
