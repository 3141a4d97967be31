// Command requestid gives every call an ID that is in the logs of all servers that take part.
//
// The server uses the ID of the caller if it is well-formed, returns it to the caller, and
// sends it with the calls that it makes.
package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func main() {
	stock := greeter.Serve(&greeter.Service{}, ids("stock"), incoming("stock"))
	front := &greeter.Service{Handle: ask(stock.Client(ids("unused")))}
	shop := greeter.Serve(front, ids("shop"), incoming("shop"))
	client := shop.Client()
	ctx := context.Background()

	call(ctx, client)
	call(metadata.AppendToOutgoingContext(ctx, requestid.DefaultHeader, "order-42"), client)
	call(metadata.AppendToOutgoingContext(ctx, requestid.DefaultHeader, "no spaces, please"), client)
	shop.Stop()
	stock.Stop()
}

// ids returns the interceptor with IDs that are equal in each run, instead of UUIDs.
func ids(prefix string) hauberk.Interceptor {
	var made atomic.Int64
	return requestid.New(requestid.Config{}, requestid.WithGenerator(func() string {
		return fmt.Sprintf("%s-%d", prefix, made.Add(1))
	}))
}

// incoming is an inner interceptor that prints the ID.
func incoming(server string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		fmt.Printf("  [%s] %s: incoming RPC %s\n", requestid.FromContext(ctx), server, call.Method().FullName())
		return next(ctx, call)
	})
}

// ask is a handler that calls another server. The interceptor of the client reads the ID of
// the incoming call from ctx.
func ask(stock greeterpb.GreeterClient) func(context.Context, greeter.Stream) error {
	return func(ctx context.Context, s greeter.Stream) error {
		resp, err := stock.Greet(ctx, &greeterpb.HelloRequest{Name: "stock"})
		if err != nil {
			return err
		}
		return s.Send(resp)
	}
}

func call(ctx context.Context, client greeterpb.GreeterClient) {
	sent, _ := metadata.FromOutgoingContext(ctx)
	fmt.Printf("a caller with the IDs %q\n", sent.Get(requestid.DefaultHeader))
	var header metadata.MD
	_, err := client.Greet(ctx, &greeterpb.HelloRequest{Name: "ann"}, grpc.Header(&header))
	greeter.Check(err)
	fmt.Printf("  receives %q\n", header.Get(requestid.DefaultHeader))
}
