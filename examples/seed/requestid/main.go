// Command requestid is the page's RequestIdServerInterceptor: every call has an id,
// by which it is found in the logs of all who take part in it.
//
// The page makes an id for each call and keeps it to itself: what the caller has sent
// is not looked at, and no one is told (B24). Here a caller's id is taken if it is
// well-formed, the caller gets the id back, and further calls carry it on.
package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func main() {
	stock := stage.Serve(&hauberktest.Backend{}, ids("stock"), incoming("stock"))
	front := &hauberktest.Backend{Handle: ask(stock.Client(ids("unused")))}
	shop := stage.Serve(front, ids("shop"), incoming("shop"))
	client := shop.Client()
	ctx := context.Background()

	call(ctx, client)
	call(metadata.AppendToOutgoingContext(ctx, requestid.DefaultHeader, "order-42"), client)
	call(metadata.AppendToOutgoingContext(ctx, requestid.DefaultHeader, "no spaces, please"), client)
	shop.Stop()
	stock.Stop()
}

// ids returns the interceptor with ids that are the same in each run, in place of
// UUIDs.
func ids(prefix string) hauberk.Interceptor {
	var made atomic.Int64
	return requestid.New(requestid.Config{}, requestid.WithGenerator(func() string {
		return fmt.Sprintf("%s-%d", prefix, made.Add(1))
	}))
}

// incoming prints the page's line. It stands inside, where the state has the id.
func incoming(server string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		fmt.Printf("  [%s] %s: incoming RPC %s\n", requestid.FromContext(ctx), server, call.Method().FullName())
		return next(ctx, call)
	})
}

// ask is a handler that calls another server. The client's interceptor takes the id
// from ctx: it is that of the incoming call.
func ask(stock testpb.TestServiceClient) func(context.Context, hauberktest.Stream) error {
	return func(ctx context.Context, s hauberktest.Stream) error {
		resp, err := stock.Unary(ctx, &testpb.Request{Text: "in stock?"})
		if err != nil {
			return err
		}
		return s.Send(resp)
	}
}

func call(ctx context.Context, client testpb.TestServiceClient) {
	sent, _ := metadata.FromOutgoingContext(ctx)
	fmt.Printf("a caller with the ids %q\n", sent.Get(requestid.DefaultHeader))
	var header metadata.MD
	_, err := client.Unary(ctx, &testpb.Request{Text: "tea"}, grpc.Header(&header))
	stage.Check(err)
	fmt.Printf("  is told %q\n", header.Get(requestid.DefaultHeader))
}
