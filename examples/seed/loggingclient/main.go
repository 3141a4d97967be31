// Command loggingclient is the page's LoggingClientInterceptor: it prints when a
// client's call starts and how it ended, for every kind of call.
//
// On the page that is a class with four bases and two of their four methods, which
// Python rejects to create (B01). Here it is one method. The interceptor of package
// logging does this with log/slog; see loggingserver.
package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/future"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// clientLog prints two lines a call. now is time.Now where durations matter.
type clientLog struct{ now func() time.Time }

// Intercept runs around one call, of any kind.
func (l clientLog) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	method := call.Method().Name()
	fmt.Printf("[CLIENT] %s starts\n", method)
	start := l.now()
	// next returns when the call has ended, and its error is how. Python's continuation
	// returns a failed call like any other, which the page logs as completed (B02), and
	// returns at once for a call that is a future or a stream.
	err := next(ctx, call)
	fmt.Printf("[CLIENT] %s: %s after %v, sent %d, received %d\n",
		method, stage.Outcome(err), l.now().Sub(start), call.Sent(), call.Received())
	return err
}

func main() {
	clock := hauberktest.NewClock()
	server := stage.Serve(stage.Shop(clock))
	client := server.Client(clientLog{clock.Now})
	ctx := context.Background()

	for _, kind := range stage.Kinds() {
		_, err := stage.Call(ctx, client, kind, "tea", "cups")
		stage.Check(err)
	}
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		_, err := stage.Call(ctx, client, kind, "fail")
		fmt.Println("the caller got", stage.Outcome(err))
	}
	// A future is logged when its call has ended, not when it was made (B03).
	later := future.Start(ctx, client.Unary, &testpb.Request{Text: "tea"})
	resp, err := later.Result()
	stage.Check(err)
	fmt.Println("the future holds", resp.GetText())

	abandon(ctx, client)
	server.Stop()
}

// abandon reads one message of a stream and no more. That leaves no trace in the
// page's log (B05), and its generator has taken from the caller the means to cancel
// the call (B04). Here the caller has grpc-go's own stream and cancels as always.
func abandon(ctx context.Context, client testpb.TestServiceClient) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	stream, err := client.ServerStream(ctx, &testpb.Request{Text: "wait"},
		grpc.OnFinish(func(err error) { ended <- err }))
	stage.Check(err)
	_, err = stream.Recv()
	stage.Check(err)
	cancel()
	fmt.Println("the caller was told", stage.Outcome(<-ended))
}
