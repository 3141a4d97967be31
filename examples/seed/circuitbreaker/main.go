// Command circuitbreaker is the page's CircuitBreakerInterceptor: a client that
// stops calling a service that fails, and finds out when it works again.
//
// The page's never opens: it waits for an exception, and a failed call is returned
// (B13). For the same reason a probe that fails would close it (B15).
package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

func main() {
	clock := hauberktest.NewClock() // so that no one has to wait
	b := breaker.New(
		breaker.Config{FailureThreshold: 3, OpenFor: time.Minute, HalfOpenMaxCalls: 1},
		breaker.WithClock(clock.Now),
		breaker.WithOnChange(func(c breaker.Change) { fmt.Printf("  %s is %s\n", c.Circuit, c.To) }),
	)
	var (
		ill    service
		client testpb.TestServiceClient
	)
	call := func(kind hauberk.Kind, text string) {
		_, err := stage.Call(context.Background(), client, kind, text)
		fmt.Printf("%s %q: %s\n", kind, text, stage.Outcome(err))
	}
	ill.whileProbed = func() { call(hauberk.Unary, "beside the probe") }
	server := stage.Serve(&hauberktest.Backend{Handle: ill.serve})
	client = server.Client(b)

	// A caller's own mistakes say nothing of the service. The page counts every error,
	// so that one caller's could shut out all (B16).
	for range 3 {
		call(hauberk.Unary, "mistake")
	}
	// Streams count too, by how they end.
	ill.down.Store(true)
	call(hauberk.Unary, "a")
	call(hauberk.ServerStream, "b")
	call(hauberk.Bidi, "c")
	// An open circuit sends nothing, and its error has a status, which the page's has
	// not (B14): what stands outside, and the application, find UNAVAILABLE.
	call(hauberk.Unary, "d")

	// After a minute as many calls as HalfOpenMaxCalls may try. However such a call ends, it
	// makes room for another; one of the page's that breaks off never does (B17).
	clock.Advance(time.Minute)
	call(hauberk.Unary, "probe") // fails, so that the circuit opens again
	call(hauberk.Unary, "e")

	clock.Advance(time.Minute)
	ill.down.Store(false)
	call(hauberk.Unary, "probe")
	call(hauberk.Unary, "f")
	fmt.Println(b.States(), "after", ill.calls.Load(), "calls that were sent")
	server.Stop()
}

// service is down for a while.
type service struct {
	down        atomic.Bool
	calls       atomic.Int64
	whileProbed func()
}

func (x *service) serve(_ context.Context, s hauberktest.Stream) error {
	x.calls.Add(1)
	req, err := s.Recv()
	if req.GetText() == "probe" {
		x.whileProbed()
	}
	switch {
	case err != nil:
		return err
	case x.down.Load():
		return status.Error(codes.Unavailable, "down")
	case req.GetText() == "mistake":
		return status.Error(codes.InvalidArgument, "no such thing")
	default:
		return s.Send(&testpb.Response{Text: req.GetText()})
	}
}
