// Command retry repeats the calls of a client that fail with UNAVAILABLE.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// printAttempt runs inside retry, once for each attempt.
func printAttempt(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	err := next(ctx, call)
	fmt.Printf("  attempt %d: %s\n", retry.Attempt.Or(ctx, 0), greeter.Outcome(err))
	return err
}

func main() {
	backend := &flaky{calls: make(map[string]int)}
	server := greeter.Serve(&greeter.Service{Handle: backend.serve})
	ctx := context.Background()

	// By default only methods that their proto marks as idempotent are retried.
	quick := server.Client(
		retry.New(retry.Config{AllMethods: true, MaxAttempts: 4, InitialBackoff: 2 * time.Millisecond}),
		hauberk.Func(printAttempt),
	)
	// A stream of responses can be retried until the first response. A stream of requests is
	// not retried, unless retry.Config.MaxReplayBytes allows the interceptor to keep them.
	for _, kind := range greeter.Kinds() {
		got, err := greeter.Call(ctx, quick, kind, "hello")
		fmt.Printf("%s: %s %v\n", kind, greeter.Outcome(err), got)
	}

	// The deadline of the caller is for all attempts and waits. Here the second attempt could
	// start only after the deadline, so the call ends at once with the error of the first.
	patient := server.Client(
		retry.New(retry.Config{AllMethods: true, InitialBackoff: time.Hour, MaxBackoff: time.Hour}),
		hauberk.Func(printAttempt),
	)
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := greeter.Call(bounded, patient, hauberk.Unary, "down")
	fmt.Println("one minute, waits of an hour:", greeter.Outcome(err))
	server.Stop()
}

// flaky is a service that fails twice for each method.
type flaky struct {
	mu    sync.Mutex
	calls map[string]int
}

func (f *flaky) serve(ctx context.Context, s greeter.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[s.Method()]++
	if f.calls[s.Method()] <= 2 || req.GetName() == "down" {
		return status.Error(codes.Unavailable, "starting up")
	}
	return s.Send(&greeterpb.HelloReply{Text: req.GetName()})
}
