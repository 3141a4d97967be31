package future_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/future"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

type requests = iter.Seq2[*testpb.Request, error]

// endless yields requests until the loop ends, and reports that.
func endless(over chan<- struct{}) requests {
	return func(yield func(*testpb.Request, error) bool) {
		defer close(over)
		for yield(request("a"), nil) {
			runtime.Gosched()
		}
	}
}

// oneThen yields a request and then calls then.
func oneThen(then func(yield func(*testpb.Request, error) bool)) requests {
	return func(yield func(*testpb.Request, error) bool) {
		if yield(request("a"), nil) {
			then(yield)
		}
	}
}

func TestStream(t *testing.T) {
	handle := func(ctx context.Context, s hauberktest.Stream) error {
		_ = s.SetHeader(metadata.Pairs("x-h", "1"))
		s.SetTrailer(metadata.Pairs("x-t", "2"))
		return hauberktest.Echo(ctx, s)
	}
	tests := []struct {
		requests requests
		want     string
	}{
		{future.Requests(request("a"), request("b")), "echo:a,b"},
		{future.Requests[testpb.Request](), "echo:"},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			eachConn(t, handle, func(t *testing.T, client testpb.TestServiceClient) {
				f := future.StartStream(t.Context(), client.ClientStream, test.requests)
				if resp, err := f.Result(); err != nil || resp.GetText() != test.want {
					t.Errorf("%v, %v; want %s", resp, err, test.want)
				}
				if len(f.Header().Get("x-h")) != 1 || len(f.Trailer().Get("x-t")) != 1 || f.Peer() == nil {
					t.Errorf("header %v, trailer %v, peer %v", f.Header(), f.Trailer(), f.Peer())
				}
			})
		})
	}
}

// A server that answers early ends the call and the iteration over the requests.
func TestStreamAnsweredEarly(t *testing.T) {
	for _, outcome := range []error{nil, status.Error(codes.FailedPrecondition, "enough")} {
		handle := func(_ context.Context, s hauberktest.Stream) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			if outcome != nil {
				return outcome
			}
			return s.Send(&testpb.Response{Text: "early"})
		}
		t.Run(status.Code(outcome).String(), func(t *testing.T) {
			eachConn(t, handle, func(t *testing.T, client testpb.TestServiceClient) {
				over := make(chan struct{})
				f := future.StartStream(t.Context(), client.ClientStream, endless(over))
				resp, err := f.Result()
				if status.Code(err) != status.Code(outcome) || err == nil && resp.GetText() != "early" {
					t.Errorf("%v, %v; want early, %v", resp, err, outcome)
				}
				<-over
			})
		})
	}
}

// The call ends when the server ends it, even while the requests wait for something.
func TestStreamWhoseRequestsWait(t *testing.T) {
	handle := func(_ context.Context, s hauberktest.Stream) error {
		_, _ = s.Recv()
		return status.Error(codes.FailedPrecondition, "enough")
	}
	eachConn(t, handle, func(t *testing.T, client testpb.TestServiceClient) {
		var f *future.Future[testpb.Response]
		started, over := make(chan struct{}), make(chan struct{})
		f = future.StartStream(t.Context(), client.ClientStream, oneThen(func(func(*testpb.Request, error) bool) {
			defer close(over)
			<-started
			<-f.Done()
		}))
		close(started)
		if f.Code() != codes.FailedPrecondition {
			t.Errorf("%v; want %s", f.Err(), codes.FailedPrecondition)
		}
		<-over
	})
}

// An error of the requests is the outcome. The server sees a cancelled call, not a complete one.
func TestRequestsFail(t *testing.T) {
	seen := make(chan error, 1)
	handle := func(_ context.Context, s hauberktest.Stream) error {
		for {
			if _, err := s.Recv(); err != nil {
				seen <- err
				return err
			}
		}
	}
	eachConn(t, handle, func(t *testing.T, client testpb.TestServiceClient) {
		why := errors.New("disk")
		received := false
		f := future.StartStream(t.Context(), client.ClientStream, oneThen(func(yield func(*testpb.Request, error) bool) {
			received = yield(nil, why)
		}))
		if err := f.Err(); !errors.Is(err, why) || f.Cancelled() || received {
			t.Errorf("%v, cancelled %t, iterated further %t; want %v", err, f.Cancelled(), received, why)
		}
		if f.Code() != codes.Unknown {
			t.Errorf("code %s of an error without a status; want %s", f.Code(), codes.Unknown)
		}
		if err := <-seen; errors.Is(err, io.EOF) || status.Code(err) != codes.Canceled {
			t.Errorf("the server saw %v; want %s", err, codes.Canceled)
		}
	})
}

func TestRequestsPanic(t *testing.T) {
	eachConn(t, untilCancelled, func(t *testing.T, client testpb.TestServiceClient) {
		f := future.StartStream(t.Context(), client.ClientStream, oneThen(func(func(*testpb.Request, error) bool) { panic("boom") }))
		<-f.Done()
		if v := panicOf(func() { _, _ = f.Result() }); v != "boom" {
			t.Errorf("Result panicked with %v; want boom", v)
		}
	})
}

func TestRequestsExit(t *testing.T) {
	eachConn(t, untilCancelled, func(t *testing.T, client testpb.TestServiceClient) {
		f := future.StartStream(t.Context(), client.ClientStream, oneThen(func(func(*testpb.Request, error) bool) { runtime.Goexit() }))
		if f.Code() != codes.Internal {
			t.Errorf("%v; want %s", f.Err(), codes.Internal)
		}
	})
}

func TestStreamCancelled(t *testing.T) {
	eachConn(t, untilCancelled, func(t *testing.T, client testpb.TestServiceClient) {
		over := make(chan struct{})
		f := future.StartStream(t.Context(), client.ClientStream, endless(over))
		if !f.Cancel() || f.Code() != codes.Canceled || !errors.Is(f.Err(), future.ErrCancelled) {
			t.Errorf("%v; want %s", f.Err(), codes.Canceled)
		}
		if f.Cancel() {
			t.Error("a call that has ended was cancelled")
		}
	})
}

// A call that its chain rejects does not iterate over the requests.
func TestStreamRejected(t *testing.T) {
	hauberktest.CheckLeaks(t)
	client := clientBehind(t, nil, func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(codes.PermissionDenied, "NO", "no")
	})
	asked := false
	f := future.StartStream(t.Context(), client.ClientStream, func(func(*testpb.Request, error) bool) { asked = true })
	if f.Code() != codes.PermissionDenied || hauberk.Reason(f.Err()) != "NO" || asked {
		t.Errorf("%v, requests asked for %t; want %s and none", f.Err(), asked, codes.PermissionDenied)
	}
}

// The iteration over Requests stops when the loop ends.
func TestRequestsStop(t *testing.T) {
	n := 0
	for req, err := range future.Requests(request("a"), request("b"), request("c")) {
		if err != nil || req == nil {
			t.Errorf("%v, %v; want a request", req, err)
		}
		n++
		if n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d requests; want 2", n)
	}
}
