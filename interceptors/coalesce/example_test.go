package coalesce_test

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
)

// Two equal calls at the same time run the handler once.
func Example() {
	x := coalesce.New(coalesce.Config{Methods: []string{"hauberk.test.v1.*"}, AcrossIdentities: true})
	chain := hauberk.Must(hauberk.New(x))
	running, release := make(chan struct{}, 2), make(chan struct{})
	call := func() {
		info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_Unary_FullMethodName}
		_, err := chain.UnaryServerInterceptor()(context.Background(), &testpb.Request{}, info,
			func(context.Context, any) (any, error) {
				running <- struct{}{}
				<-release
				return &testpb.Response{}, nil
			})
		fmt.Println("error:", err)
	}
	var calls sync.WaitGroup
	calls.Go(call)
	<-running
	calls.Go(func() {
		go close(release)
		call()
	})
	calls.Wait()
	// Output:
	// error: <nil>
	// error: <nil>
}
