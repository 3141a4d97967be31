package future_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/future"
)

// cart is what a generated client would be.
type cart struct{}

func (cart) Get(_ context.Context, id *wrapperspb.Int64Value, _ ...grpc.CallOption) (*wrapperspb.StringValue, error) {
	return wrapperspb.String(fmt.Sprintf("cart %d", id.GetValue())), nil
}

// Two calls at a time.
func Example() {
	ctx, client := context.Background(), cart{}
	first := future.Start(ctx, client.Get, wrapperspb.Int64(1))
	second := future.Start(ctx, client.Get, wrapperspb.Int64(2))
	for _, f := range []*future.Future[wrapperspb.StringValue]{first, second} {
		resp, err := f.Result()
		fmt.Println(resp.GetValue(), err)
	}
	first.AddDoneCallback(func(f *future.Future[wrapperspb.StringValue]) { fmt.Println("done:", f.Code()) })
	// Output:
	// cart 1 <nil>
	// cart 2 <nil>
	// done: OK
}
