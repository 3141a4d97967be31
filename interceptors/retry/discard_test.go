package retry_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// TestCommitAtTimeout: a stream whose header or message arrives at about the time of the per-attempt
// timeout is either committed, and then only the deadline of the caller ends it, or it is retried, and
// nothing of the attempt is delivered.
func TestCommitAtTimeout(t *testing.T) {
	const timeout = 5 * time.Millisecond
	for _, asksHeader := range []bool{false, true} {
		hauberktest.CheckLeaks(t)
		var mu sync.Mutex
		random := testseed.Rand(t, 1)
		b := &backend{}
		b.Handle = func(_ context.Context, s hauberktest.Stream) error {
			mu.Lock()
			wait := timeout + time.Duration(random.IntN(1500)-1000)*time.Microsecond
			mu.Unlock()
			<-time.After(wait)
			if err := s.SetHeader(metadata.Pairs("a", "b")); err != nil {
				return err
			}
			if err := s.Send(&testpb.Response{}); err != nil {
				return err
			}
			<-time.After(2 * timeout)
			return s.Send(&testpb.Response{})
		}
		config := retry.Config{PerAttemptTimeout: timeout, NoBudget: true}
		env := start(t, hauberk.ServerStream, b, all(config, retry.WithSleep((&waits{}).sleep)))
		call := func() (header metadata.MD, received int, err error) {
			stream, err := testpb.NewTestServiceClient(env.Conn).ServerStream(t.Context(), &testpb.Request{})
			if err != nil {
				return nil, 0, err
			}
			if asksHeader {
				header, _ = stream.Header()
			}
			for err == nil {
				if _, err = stream.Recv(); err == nil {
					received++
				}
			}
			return header, received, err
		}
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				for range 40 {
					header, received, err := call()
					expired := status.Code(err) == codes.DeadlineExceeded
					switch {
					case expired && received > 0:
						t.Errorf("%d messages, and then %v", received, err)
					case !expired && (received != 2 || asksHeader && header == nil):
						t.Errorf("header %v, %d messages, %v; want a header and 2", header, received, err)
					}
				}
			})
		}
		calls.Wait()
	}
}
