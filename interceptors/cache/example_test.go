package cache_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
)

// identify takes the user from the request metadata. It represents package authn.
func identify(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if user := call.Metadata(ctx, "user"); len(user) > 0 {
		hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: user[0]})
	}
	return next(ctx, call)
}

// The handler runs once for each user, until the answer is removed.
func Example() {
	answers := cache.New(cache.Config{TTL: time.Minute, Methods: []string{"hauberk.test.v1.TestService/Unary"}})
	chain := hauberk.Must(hauberk.New(hauberk.Func(identify), answers))
	method := testpb.TestService_Unary_FullMethodName
	handled := 0
	call := func(user string) {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("user", user))
		info := &grpc.UnaryServerInfo{FullMethod: method}
		got, err := chain.UnaryServerInterceptor()(ctx, &testpb.Request{Text: "cart"}, info,
			func(context.Context, any) (any, error) {
				handled++
				return &testpb.Response{Text: fmt.Sprint("version ", handled)}, nil
			})
		fmt.Println(user, got.(*testpb.Response).GetText(), err)
	}
	call("alice")
	call("alice")
	call("bob")
	fmt.Println(answers.Invalidate(method, &testpb.Request{Text: "cart"}), "removed")
	call("alice")
	// Output:
	// alice version 1 <nil>
	// alice version 1 <nil>
	// bob version 2 <nil>
	// 2 removed
	// alice version 3 <nil>
}
