package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
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

// TestLateApplication: the response of an attempt that has arrived as a whole, but that the application has not begun
// to receive when the per-attempt timeout ends the attempt, is received again in the next attempt. After the last one
// the call ends with the timeout.
func TestLateApplication(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		for _, late := range []int{1, 2} { // attempts
			t.Run(fmt.Sprint(kind, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &backend{}
					b.Handle = func(_ context.Context, s hauberktest.Stream) error {
						b.calls.Add(1)
						if _, err := s.Recv(); err != nil { // or the application sends to a call that has ended
							return err
						}
						for range 3 {
							if err := s.Send(&testpb.Response{}); err != nil {
								return err
							}
						}
						return nil
					}
					config := retry.Config{
						PerAttemptTimeout: time.Second, RetryAfterHeader: true, MaxAttempts: 2, MaxReplayBytes: 1 << 10, NoBudget: true,
					}
					env := start(t, kind, b, all(config, retry.WithSleep((&waits{}).sleep)))
					desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: true}
					stream, err := env.Conn.NewStream(t.Context(), desc, hauberktest.FullMethod(kind))
					if err != nil {
						t.Fatal(err)
					}
					if err := errors.Join(stream.SendMsg(&testpb.Request{}), stream.CloseSend()); err != nil {
						t.Fatal(err)
					}
					<-time.After(time.Duration(late)*time.Second + 100*time.Millisecond)
					received := 0
					for err == nil {
						if err = stream.RecvMsg(new(testpb.Response)); err == nil {
							received++
						}
					}
					want, messages := codes.OK, 3
					if late == 2 {
						want, messages = codes.DeadlineExceeded, 0
					}
					if err == io.EOF {
						err = nil
					}
					if status.Code(err) != want || received != messages || b.calls.Load() != 2 {
						t.Errorf("%d messages in %d attempts, and then %v", received, b.calls.Load(), err)
					}
				})
			})
		}
	}
}

// TestResumeInsideTimeout: the per-attempt timeout of an outer retry does not end a stream that an inner one has
// resumed: the application has messages of it.
func TestResumeInsideTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.Handle = func(_ context.Context, s hauberktest.Stream) error {
			req, err := s.Recv()
			if err == nil && b.calls.Add(1) == 1 {
				return errors.Join(s.Send(&testpb.Response{}), status.Error(codes.Unavailable, "broken"))
			}
			<-time.After(3 * time.Second)
			index, _ := strconv.Atoi(req.GetText())
			return s.Send(&testpb.Response{Index: int32(index)})
		}
		outer := all(retry.Config{PerAttemptTimeout: time.Second, NoBudget: true})
		env := start(t, hauberk.ServerStream, b, hauberk.Named("outer", outer), resuming(retry.Config{NoBudget: true}, after))
		out := env.Call(t.Context(), "0")
		if out.Err != nil || b.calls.Load() != 2 {
			t.Errorf("the stream ended with %v after %d attempts", out.Err, b.calls.Load())
		}
		wantNumbers(t, out, 0, 2)
	})
}

// TestResumeAfterDiscarded: a message that was discarded at the per-attempt timeout, after the hook of WithResume has
// seen it, is not the last one of the next attempt, which the application did not receive.
func TestResumeAfterDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.Handle = func(_ context.Context, s hauberktest.Stream) error {
			req, err := s.Recv()
			if err != nil {
				return err
			}
			n := b.calls.Add(1)
			if n == 2 {
				_ = s.SendHeader(nil)
				<-time.After(time.Minute)
				return status.Error(codes.Unavailable, "broken")
			}
			index, _ := strconv.Atoi(req.GetText())
			for i := index; err == nil && i < 3; i++ {
				err = s.Send(&testpb.Response{Index: int32(i)})
			}
			return err
		}
		slow := true
		late := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(any) (bool, error) {
				if slow {
					slow = false
					<-time.After(2 * time.Second)
				}
				return true, nil
			})
			return next(ctx, call)
		})
		config := retry.Config{PerAttemptTimeout: time.Second, RetryAfterHeader: true, NoBudget: true, MaxAttempts: 3}
		env := start(t, hauberk.ServerStream, b, late, resuming(config, after))
		stream, err := testpb.NewTestServiceClient(env.Conn).ServerStream(t.Context(), &testpb.Request{Text: "0"})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2500*time.Millisecond, func() { _, _ = stream.Header() })
		var out hauberktest.Outcome
		for out.Err == nil {
			var resp *testpb.Response
			if resp, out.Err = stream.Recv(); out.Err == nil {
				out.Responses = append(out.Responses, resp)
			}
		}
		if out.Err != io.EOF || b.calls.Load() != 3 {
			t.Errorf("the stream ended with %v after %d attempts", out.Err, b.calls.Load())
		}
		wantNumbers(t, out, 0, 3)
	})
}
