package concurrency_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// serveOne serves a call behind a chain, without a network. handle runs inside.
func serveOne(chain *hauberk.Chain, handle func(), pairs ...string) error {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(pairs...))
	info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_Unary_FullMethodName}
	_, err := chain.UnaryServerInterceptor()(ctx, &testpb.Request{}, info, func(context.Context, any) (any, error) {
		handle()
		return &testpb.Response{}, nil
	})
	return err
}

// Each method has one call in flight. A second one waits for a free slot, and is rejected after 10 ms.
func Example() {
	bulkhead := concurrency.New(concurrency.Config{
		Limit: 1, By: callkey.Method(), MaxWaiting: 10, MaxWait: 10 * time.Millisecond,
	})
	chain := hauberk.Must(hauberk.New(bulkhead))
	err := serveOne(chain, func() { // while this call is in flight
		err := serveOne(chain, func() {})
		fmt.Println(status.Code(err), hauberk.Reason(err))
		fmt.Println("in flight:", bulkhead.Snapshot().Running)
	})
	fmt.Println(status.Code(err))
	fmt.Println("in flight:", bulkhead.Snapshot().Running)
	// Output:
	// ResourceExhausted CONCURRENCY_WAITED
	// in flight: 1
	// OK
	// in flight: 0
}

// A tenant that makes all the calls leaves half of the slots to those that were active before.
func ExampleConfig_tenant() {
	limit := concurrency.New(concurrency.Config{Limit: 4, Tenant: callkey.Metadata("tenant")})
	chain := hauberk.Must(hauberk.New(limit))
	_ = serveOne(chain, func() {}, "tenant", "quiet")
	var loud func(depth int)
	loud = func(depth int) {
		err := serveOne(chain, func() { loud(depth + 1) }, "tenant", "loud")
		if err != nil {
			fmt.Println("loud:", depth, "in flight, then", status.Code(err))
			fmt.Println("quiet:", status.Code(serveOne(chain, func() {}, "tenant", "quiet")))
		}
	}
	loud(0)
	// Output:
	// loud: 2 in flight, then ResourceExhausted
	// quiet: OK
}

// Calls are rejected while a load is high.
func ExampleWithProbe() {
	queue := 0.95
	gate := concurrency.New(concurrency.Config{Load: &concurrency.Load{High: 0.9, Low: 0.5, Every: time.Nanosecond}},
		concurrency.WithProbe(func() float64 { return queue }))
	chain := hauberk.Must(hauberk.New(gate))
	for _, queue = range []float64{0.95, 0.6, 0.4} {
		err := serveOne(chain, func() {})
		fmt.Println(queue, status.Code(err), strings.ToLower(hauberk.Reason(err)))
	}
	// Output:
	// 0.95 Unavailable load_shed
	// 0.6 Unavailable load_shed
	// 0.4 OK
}
