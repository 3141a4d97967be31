// Command breaker stops the calls of a client to a service that fails, until a probe succeeds.
package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

func main() {
	clock := greeter.NewClock() // the program does not wait
	b := breaker.New(
		breaker.Config{FailureThreshold: 3, OpenFor: time.Minute, HalfOpenMaxCalls: 1},
		breaker.WithClock(clock.Now),
		breaker.WithOnChange(func(c breaker.Change) { fmt.Printf("  %s is %s\n", c.Circuit, c.To) }),
	)
	var (
		ill    service
		client greeterpb.GreeterClient
	)
	call := func(kind hauberk.Kind, text string) {
		_, err := greeter.Call(context.Background(), client, kind, text)
		fmt.Printf("%s %q: %s\n", kind, text, greeter.Outcome(err))
	}
	ill.whileProbed = func() { call(hauberk.Unary, "during the probe") }
	server := greeter.Serve(&greeter.Service{Handle: ill.serve})
	client = server.Client(b)

	// Mistakes of the caller are not failures of the service.
	for range 3 {
		call(hauberk.Unary, "mistake")
	}
	// Streams count too, by the status that they end with.
	ill.down.Store(true)
	call(hauberk.Unary, "a")
	call(hauberk.ServerStream, "b")
	call(hauberk.Bidi, "c")
	// An open circuit sends nothing. Outer interceptors and the application receive
	// UNAVAILABLE.
	call(hauberk.Unary, "d")

	// After a minute, HalfOpenMaxCalls calls at a time are sent as probes.
	clock.Advance(time.Minute)
	call(hauberk.Unary, "probe") // it fails, and the circuit opens again
	call(hauberk.Unary, "e")

	clock.Advance(time.Minute)
	ill.down.Store(false)
	call(hauberk.Unary, "probe")
	call(hauberk.Unary, "f")
	fmt.Println(b.States(), "after", ill.calls.Load(), "calls sent")
	server.Stop()
}

// service is down for a while.
type service struct {
	down        atomic.Bool
	calls       atomic.Int64
	whileProbed func()
}

func (x *service) serve(_ context.Context, s greeter.Stream) error {
	x.calls.Add(1)
	req, err := s.Recv()
	if req.GetName() == "probe" {
		x.whileProbed()
	}
	switch {
	case err != nil:
		return err
	case x.down.Load():
		return status.Error(codes.Unavailable, "down")
	case req.GetName() == "mistake":
		return status.Error(codes.InvalidArgument, "no such person")
	default:
		return s.Send(&greeterpb.HelloReply{Text: req.GetName()})
	}
}
