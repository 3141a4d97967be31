// Command metrics counts the calls and errors of each method and measures their latency.
package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// reject is an inner interceptor.
func reject(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if len(call.Metadata(ctx, "x-unwanted")) > 0 {
		return hauberk.Reject(codes.PermissionDenied, "UNWANTED", "unwanted calls are rejected")
	}
	return next(ctx, call)
}

func main() {
	clock := greeter.NewClock() // latencies are equal in each run
	calls := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now))
	server := greeter.Serve(greeter.Slow(clock),
		calls, // outermost: it counts rejected calls too
		hauberk.Func(reject),
	)
	conn := server.Conn()
	client := greeterpb.NewGreeterClient(conn)
	ctx := context.Background()

	for _, kind := range greeter.Kinds() {
		_, err := greeter.Call(ctx, client, kind, "ann", "bob")
		greeter.Check(err)
		_, _ = greeter.Call(ctx, client, kind, "fail")
	}
	_, _ = greeter.Call(metadata.AppendToOutgoingContext(ctx, "x-unwanted", "1"), client, hauberk.Bidi, "ann")
	_ = conn.Invoke(ctx, "/any.Name/AtAll", &greeterpb.HelloRequest{}, &greeterpb.HelloReply{})
	server.Stop()

	snapshot := calls.Snapshot().Server
	// Streams are measured from their start to their end, and count as failed by their final
	// status. Methods that are not registered count as "unknown", so that callers cannot add
	// names.
	for _, method := range slices.Sorted(maps.Keys(snapshot.Methods)) {
		m := snapshot.Methods[method]
		fmt.Printf("%s: %d calls, %d errors %v, mean %v, p99 %v, sent %d, received %d\n", method,
			m.Calls, m.Errors, m.Codes, m.Mean, m.P99.Round(time.Millisecond), m.Sent, m.Received)
	}
	fmt.Println("rejected:", snapshot.Rejections)
}
