// Command metrics is the page's MetricsInterceptor with its get_metrics: how many
// calls there were of each method, how many failed, and how long they took.
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
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// reject stands further in than the metrics.
func reject(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if len(call.Metadata(ctx, "x-unwanted")) > 0 {
		return hauberk.Reject(codes.PermissionDenied, "UNWANTED", "not for you")
	}
	return next(ctx, call)
}

func main() {
	clock := hauberktest.NewClock() // so that latencies are the same in each run
	calls := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now))
	server := stage.Serve(stage.Shop(clock),
		calls, // outermost: it counts rejected calls too, under the method's own name (the page's do not: B37)
		hauberk.Func(reject),
	)
	conn := server.Conn()
	client := testpb.NewTestServiceClient(conn)
	ctx := context.Background()

	for _, kind := range stage.Kinds() {
		_, err := stage.Call(ctx, client, kind, "tea", "cups")
		stage.Check(err)
		_, _ = stage.Call(ctx, client, kind, "fail")
	}
	_, _ = stage.Call(metadata.AppendToOutgoingContext(ctx, "x-unwanted", "1"), client, hauberk.Bidi, "tea")
	_ = conn.Invoke(ctx, "/any.Name/AtAll", &testpb.Request{}, &testpb.Response{})
	server.Stop()

	snapshot := calls.Snapshot().Server
	// Streams are measured from their start to their end and count as failed when they
	// fail half-way; the page times the making of a generator (B33). A status that a
	// handler has set counts (the page: only exceptions do, B36). Names that no one has
	// registered are counted as one, "unknown", so that callers cannot fill the memory.
	// Means are over the calls that were measured; on the page failures are in the divisor
	// only, and make a service look faster than it is (B35).
	for _, method := range slices.Sorted(maps.Keys(snapshot.Methods)) {
		m := snapshot.Methods[method]
		fmt.Printf("%s: %d calls, %d errors %v, mean %v, p99 %v, sent %d, received %d\n", method,
			m.Calls, m.Errors, m.Codes, m.Mean, m.P99.Round(time.Millisecond), m.Sent, m.Received)
	}
	fmt.Println("rejected:", snapshot.Rejections)
}
