package future_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/future"
)

// cart takes the place of a generated client.
type cart struct{}

func (cart) Get(_ context.Context, id *wrapperspb.Int64Value, _ ...grpc.CallOption) (*wrapperspb.StringValue, error) {
	return wrapperspb.String(fmt.Sprintf("cart %d", id.GetValue())), nil
}

// Two concurrent calls.
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
