package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// Two consecutive failures open the circuit, which rejects the third call.
func Example() {
	b := breaker.New(breaker.Config{FailureThreshold: 2})
	down := hauberktest.Conn{Outcome: func(string) error { return status.Error(codes.Unavailable, "down") }}
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(b)).ClientConn(down))
	for range 3 {
		_, err := client.Unary(context.Background(), &testpb.Request{})
		fmt.Println(status.Convert(err).Message(), errors.Is(err, breaker.ErrOpen))
	}
	fmt.Println(b.States())
	// Output:
	// down false
	// down false
	// circuit breaker is open true
	// map[hauberk.test.v1.TestService:open]
}

// A circuit opens when half of the calls of the last minute fail, from four calls on.
func ExampleConfig_ratio() {
	b := breaker.New(breaker.Config{FailureRatio: 0.5, MinCalls: 4, WindowTime: time.Minute})
	calls := 0
	flaky := hauberktest.Conn{Outcome: func(string) error {
		calls++
		if calls%2 == 0 {
			return status.Error(codes.Unavailable, "every second call")
		}
		return nil
	}}
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(b)).ClientConn(flaky))
	for range 5 {
		_, err := client.Unary(context.Background(), &testpb.Request{})
		fmt.Println(status.Code(err), b.Circuits()[0].State)
	}
	// Output:
	// OK closed
	// Unavailable closed
	// OK closed
	// Unavailable open
	// Unavailable open
}

// A circuit opens when all of the last three calls are slow, and for twice as long each time when a
// probe is slow too.
func ExampleConfig_slow() {
	clock := hauberktest.NewClock()
	b := breaker.New(breaker.Config{
		SlowRatio: 1, SlowAfter: time.Second, WindowCalls: 3, OpenFor: time.Minute, OpenForMultiplier: 2,
	}, breaker.WithClock(clock.Now))
	slow := hauberktest.Conn{Outcome: func(string) error {
		clock.Advance(2 * time.Second)
		return nil
	}}
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(b)).ClientConn(slow))
	for range 5 {
		_, err := client.Unary(context.Background(), &testpb.Request{})
		c := b.Circuits()[0]
		fmt.Println(status.Code(err), c.State, c.OpenFor)
		clock.Advance(c.OpenFor)
	}
	// Output:
	// OK closed 0s
	// OK closed 0s
	// OK open 1m0s
	// OK open 2m0s
	// OK open 4m0s
}

// Each tenant has its own circuit.
func ExampleConfig_key() {
	b := breaker.New(breaker.Config{FailureThreshold: 1, Key: callkey.Metadata("tenant")})
	down := hauberktest.Conn{Outcome: func(string) error { return status.Error(codes.Unavailable, "down") }}
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(b)).ClientConn(down))
	for _, tenant := range []string{"acme", "acme", "other"} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "tenant", tenant)
		_, err := client.Unary(ctx, &testpb.Request{})
		fmt.Println(tenant, status.Convert(err).Message())
	}
	fmt.Println(b.States())
	// Output:
	// acme down
	// acme circuit breaker is open
	// other down
	// map[metadata:tenant:acme:open metadata:tenant:other:open]
}

// A cache answers calls while the circuit is open. An inner interceptor fills it.
func ExampleWithFallback() {
	var last atomic.Pointer[testpb.Response]
	fill := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if response, ok := call.Response().(*testpb.Response); ok && err == nil {
			last.Store(proto.CloneOf(response))
		}
		return err
	})
	b := breaker.New(breaker.Config{FailureThreshold: 1}, breaker.WithFallback(
		func(_ context.Context, call *hauberk.Call, rejection error) error {
			if response := last.Load(); response != nil {
				return call.Reply(response)
			}
			return rejection
		}))
	down := false
	backend := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		if down {
			return status.Error(codes.Unavailable, "down")
		}
		return call.Reply(&testpb.Response{Text: "42"})
	})
	chain := hauberk.Must(hauberk.New(b, fill, backend))
	client := testpb.NewTestServiceClient(chain.ClientConn(hauberktest.Conn{}))
	for range 3 {
		response, err := client.Unary(context.Background(), &testpb.Request{})
		fmt.Printf("%s %q\n", status.Code(err), response.GetText())
		down = true
	}
	// Output:
	// OK "42"
	// Unavailable ""
	// OK "42"
}

// A response may report a failure although the call ends with OK.
func ExampleWithOutcome() {
	b := breaker.New(breaker.Config{FailureThreshold: 1}, breaker.WithOutcome(
		func(call *hauberk.Call, err error, usual breaker.Outcome) breaker.Outcome {
			if r, ok := call.Response().(*testpb.Response); ok && err == nil && r.GetText() == "HTTP 503" {
				return breaker.Failure
			}
			return usual
		}))
	backend := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		return call.Reply(&testpb.Response{Text: "HTTP 503"})
	})
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(b, backend)).ClientConn(hauberktest.Conn{}))
	for range 2 {
		_, err := client.Unary(context.Background(), &testpb.Request{})
		fmt.Println(status.Code(err))
	}
	// Output:
	// OK
	// Unavailable
}

// An operator opens a circuit for the time of a migration.
func ExampleInterceptor_ForceOpen() {
	b := breaker.New(breaker.Config{})
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{}))
	call := func() {
		_, err := client.Unary(context.Background(), &testpb.Request{})
		c := b.Circuits()[0]
		fmt.Println(status.Code(err), c.State, c.Mode)
	}
	call()
	b.ForceOpen("hauberk.test.v1.TestService")
	call()
	b.Automatic("hauberk.test.v1.TestService")
	call() // the probe
	// Output:
	// OK closed automatic
	// Unavailable open forced_open
	// OK closed automatic
}

// A listener receives the changes on its own goroutine.
func ExampleWithListener() {
	changes := make(chan breaker.Change)
	b := breaker.New(breaker.Config{FailureThreshold: 1},
		breaker.WithListener(func(c breaker.Change) { changes <- c }))
	down := hauberktest.Conn{Outcome: func(string) error { return status.Error(codes.Unavailable, "down") }}
	client := testpb.NewTestServiceClient(hauberk.Must(hauberk.New(b)).ClientConn(down))
	_, _ = client.Unary(context.Background(), &testpb.Request{})
	c := <-changes
	fmt.Println(c.Circuit, "from", c.From, "to", c.To, "for", c.OpenFor, "after:", c.LastFailure)
	// Output:
	// hauberk.test.v1.TestService from closed to open for 1m0s after: rpc error: code = Unavailable desc = down
}
