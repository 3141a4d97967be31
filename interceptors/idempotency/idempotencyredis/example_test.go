package idempotencyredis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency/idempotencyredis"
)

// Two servers execute an order once.
func Example() {
	redis, err := miniredis.Run() // in place of a server
	if err != nil {
		fmt.Println(err)
		return
	}
	defer redis.Close()
	orders := 0
	call := func(chain *hauberk.Chain, key string) {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(idempotency.Header, key))
		info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_Unary_FullMethodName}
		got, err := chain.UnaryServerInterceptor()(ctx, &testpb.Request{}, info, func(context.Context, any) (any, error) {
			orders++
			return &testpb.Response{Text: fmt.Sprint("order ", orders)}, nil
		})
		fmt.Println(got.(*testpb.Response).GetText(), err)
	}
	for range 2 {
		store := idempotencyredis.New(idempotencyredis.Config{Name: "shop", Addresses: []string{redis.Addr()}})
		call(hauberk.Must(hauberk.New(idempotency.New(
			idempotency.Config{StoreTimeout: 10 * time.Second}, idempotency.WithStore(store)))), "8e03978e")
		_ = store.Close()
	}
	// Output:
	// order 1 <nil>
	// order 1 <nil>
}
