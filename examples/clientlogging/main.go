// Command clientlogging prints when a call of a client starts and how it ends, for all kinds of
// calls, with an own interceptor. Package logging does this with log/slog: see serverlogging.
package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/future"
)

// clientLog prints two lines for each call. now is the clock.
type clientLog struct{ now func() time.Time }

// Intercept runs around one call, of any kind.
func (l clientLog) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	method := call.Method().Name()
	fmt.Printf("[CLIENT] %s starts\n", method)
	start := l.now()
	// next returns when the call has ended, for futures and streams too.
	err := next(ctx, call)
	fmt.Printf("[CLIENT] %s: %s after %v, sent %d, received %d\n",
		method, greeter.Outcome(err), l.now().Sub(start), call.Sent(), call.Received())
	return err
}

func main() {
	clock := greeter.NewClock()
	server := greeter.Serve(greeter.Slow(clock))
	client := server.Client(clientLog{clock.Now})
	ctx := context.Background()

	for _, kind := range greeter.Kinds() {
		_, err := greeter.Call(ctx, client, kind, "ann", "bob")
		greeter.Check(err)
	}
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		_, err := greeter.Call(ctx, client, kind, "fail")
		fmt.Println("the caller got", greeter.Outcome(err))
	}
	// The call of a future is logged when it has ended.
	later := future.Start(ctx, client.Greet, &greeterpb.HelloRequest{Name: "ann"})
	resp, err := later.Result()
	greeter.Check(err)
	fmt.Println("the future returned", resp.GetText())

	abandon(ctx, client)
	server.Stop()
}

// abandon reads one message of a stream and cancels it. The interceptor sees its end.
func abandon(ctx context.Context, client greeterpb.GreeterClient) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	stream, err := client.GreetOften(ctx, &greeterpb.HelloRequest{Name: "wait"},
		grpc.OnFinish(func(err error) { ended <- err }))
	greeter.Check(err)
	_, err = stream.Recv()
	greeter.Check(err)
	cancel()
	fmt.Println("the caller received", greeter.Outcome(<-ended))
}
