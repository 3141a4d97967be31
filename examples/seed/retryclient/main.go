// Command retryclient is the page's RetryClientInterceptor: a client's calls are
// made again when they fail for the moment.
//
// The page's never does that: it waits for an exception, and a failed call is
// returned (B09). With Hauberk a call that failed is an error, whatever its kind.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// printAttempt stands inside the retry, and so runs for every attempt.
func printAttempt(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	err := next(ctx, call)
	fmt.Printf("  attempt %d: %s\n", retry.Attempt.Or(ctx, 0), stage.Outcome(err))
	return err
}

func main() {
	backend := &flaky{calls: make(map[string]int)}
	server := stage.Serve(&hauberktest.Backend{Handle: backend.serve})
	ctx := context.Background()

	// The page has max_retries=3 and backoff_factor=1.0: three retries are four attempts.
	// Waits are 2 and 4 ms here, so that no one has to wait. AllMethods retries methods
	// whose proto does not mark them as idempotent, as the page does.
	quick := server.Client(
		retry.New(retry.Config{AllMethods: true, MaxAttempts: 4, InitialBackoff: 2 * time.Millisecond}),
		hauberk.Func(printAttempt),
	)
	// The page retries unary calls only (B11). A stream of responses can be made again
	// until the caller has had the first; a stream of requests passes as it is, unless
	// retry.Config.MaxReplayBytes lets it be kept.
	for _, kind := range stage.Kinds() {
		got, err := stage.Call(ctx, quick, kind, "hello")
		fmt.Printf("%s: %s %v\n", kind, stage.Outcome(err), got)
	}

	// The caller's time is for all attempts and waits together. On the page each attempt
	// has all of it again (B10). Here the second attempt could only begin when the time
	// is over, so the call ends at once, with what the first attempt said.
	patient := server.Client(
		retry.New(retry.Config{AllMethods: true, InitialBackoff: time.Hour, MaxBackoff: time.Hour}),
		hauberk.Func(printAttempt),
	)
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := stage.Call(bounded, patient, hauberk.Unary, "down")
	fmt.Println("one minute, waits of an hour:", stage.Outcome(err))
	server.Stop()
}

// flaky is a service that fails twice for each of its methods.
type flaky struct {
	mu    sync.Mutex
	calls map[string]int
}

func (f *flaky) serve(ctx context.Context, s hauberktest.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[s.Method()]++
	if f.calls[s.Method()] <= 2 || req.GetText() == "down" {
		return status.Error(codes.Unavailable, "starting up")
	}
	return s.Send(&testpb.Response{Text: req.GetText()})
}
