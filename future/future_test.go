package future_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/future"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

type handler = func(ctx context.Context, s hauberktest.Stream) error

// pass is an interceptor that only calls next.
var pass = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
})

// eachConn runs a test with a client behind a chain, and with one without a chain.
func eachConn(t *testing.T, handle handler, test func(t *testing.T, client testpb.TestServiceClient)) {
	t.Helper()
	backend := &hauberktest.Backend{Handle: handle}
	t.Run("chain", func(t *testing.T) {
		hauberktest.CheckLeaks(t)
		setup := hauberktest.Setup{Backend: backend, Client: hauberk.Must(hauberk.New(pass))}
		test(t, testpb.NewTestServiceClient(hauberktest.Start(t, setup).Conn))
	})
	t.Run("connection", func(t *testing.T) {
		hauberktest.CheckLeaks(t)
		test(t, testpb.NewTestServiceClient(hauberktest.Start(t, hauberktest.Setup{Backend: backend}).Client))
	})
}

// clientBehind returns a client behind one interceptor.
func clientBehind(t *testing.T, handle handler, interceptor hauberk.Func) testpb.TestServiceClient {
	t.Helper()
	return testpb.NewTestServiceClient(hauberktest.Start(t, hauberktest.Setup{
		Backend: &hauberktest.Backend{Handle: handle}, Client: hauberk.Must(hauberk.New(interceptor)),
	}).Conn)
}

// untilCancelled is a handler that waits for its context.
func untilCancelled(ctx context.Context, _ hauberktest.Stream) error {
	<-ctx.Done()
	return ctx.Err()
}

func request(text string) *testpb.Request { return &testpb.Request{Text: text} }

func TestOutcome(t *testing.T) {
	tests := []struct {
		name string
		err  error
	}{
		{"OK", nil},
		{"status", status.Error(codes.NotFound, "none")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handle := func(ctx context.Context, s hauberktest.Stream) error {
				_ = s.SetHeader(metadata.Pairs("x-h", "1"))
				s.SetTrailer(metadata.Pairs("x-t", "2"))
				if test.err != nil {
					return test.err
				}
				return hauberktest.Echo(ctx, s)
			}
			eachConn(t, handle, func(t *testing.T, client testpb.TestServiceClient) {
				var own metadata.MD
				f := future.Start(t.Context(), client.Unary, request("a"), grpc.Header(&own))
				resp, err := f.Result()
				if test.err == nil && resp.GetText() != "echo:a" || status.Code(err) != status.Code(test.err) {
					t.Errorf("%v, %v; want an echo, %v", resp, err, test.err)
				}
				if !errors.Is(f.Err(), err) || f.Code() != status.Code(test.err) || f.Status().Message() != status.Convert(test.err).Message() {
					t.Errorf("error %v, code %s, status %v of %v", f.Err(), f.Code(), f.Status(), test.err)
				}
				for name, values := range map[string][]string{
					"header": f.Header().Get("x-h"), "caller's header": own.Get("x-h"), "trailer": f.Trailer().Get("x-t"),
				} {
					if len(values) != 1 {
						t.Errorf("%s has %q; want one value", name, values)
					}
				}
				if f.Peer() == nil || f.Peer().Addr == nil {
					t.Errorf("peer %v; want the server", f.Peer())
				}
				if f.Running() || f.Cancel() || f.Cancelled() {
					t.Errorf("running %t, cancel %t, cancelled %t of a call that has ended", f.Running(), f.Cancel(), f.Cancelled())
				}
			})
		})
	}
}

// Start returns before the call has ended, and its future reports that the call runs.
func TestRunning(t *testing.T) {
	hauberktest.CheckLeaks(t)
	release := make(chan struct{})
	client := clientBehind(t, func(ctx context.Context, s hauberktest.Stream) error {
		<-release
		return hauberktest.Echo(ctx, s)
	}, pass)
	f := future.Start(t.Context(), client.Unary, request("a"))
	called := make(chan struct{})
	f.AddDoneCallback(func(*future.Future[testpb.Response]) { close(called) })
	select {
	case <-f.Done():
		t.Error("done before the server has answered")
	case <-called:
		t.Error("the callback ran before the server has answered")
	default:
		if !f.Running() {
			t.Error("not running before the server has answered")
		}
	}
	close(release)
	<-f.Done()
	if err := f.Err(); err != nil || f.Running() {
		t.Errorf("%v, running %t; want the end", err, f.Running())
	}
	<-called
}

func TestCancel(t *testing.T) {
	seen := make(chan error, 16) // more than the number of calls, since handlers may end later than their callers
	handle := func(ctx context.Context, s hauberktest.Stream) error {
		err := untilCancelled(ctx, s)
		seen <- err
		return err
	}
	eachConn(t, handle, func(t *testing.T, client testpb.TestServiceClient) {
		f := future.Start(t.Context(), client.Unary, request("a"))
		if !f.Cancel() || !f.Cancelled() {
			t.Errorf("cancelled %t; want a running call to be cancelled", f.Cancelled())
		}
		resp, err := f.Result()
		if resp != nil || !errors.Is(err, future.ErrCancelled) || f.Code() != codes.Canceled {
			t.Errorf("%v, %v; want %s", resp, err, codes.Canceled)
		}
		if f.Cancel() {
			t.Error("a call that has ended was cancelled")
		}
		select {
		case err := <-seen: // the call had reached the server
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the handler's context ended with %v", err)
			}
		default:
		}
		if got := status.Convert(err).Message(); got != "future: the call was cancelled" {
			t.Errorf("message %q", got)
		}
	})
}

// A call that is cancelled while an interceptor of its chain waits is not sent.
func TestCancelBeforeSending(t *testing.T) {
	hauberktest.CheckLeaks(t)
	waiting := make(chan struct{})
	sent := false
	client := clientBehind(t, func(ctx context.Context, s hauberktest.Stream) error {
		sent = true
		return hauberktest.Echo(ctx, s)
	}, func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		close(waiting)
		<-ctx.Done()
		return next(ctx, call)
	})
	f := future.Start(t.Context(), client.Unary, request("a"))
	<-waiting
	if !f.Cancel() || f.Code() != codes.Canceled || sent {
		t.Errorf("%v, sent %t; want a call that is cancelled and not sent", f.Err(), sent)
	}
	if f.Header() != nil || f.Peer() != nil {
		t.Errorf("header %v and peer %v of a call that was not sent", f.Header(), f.Peer())
	}
}

// Cancel and a response compete. The result of Cancel agrees with the outcome.
func TestCancelRacesTheResponse(t *testing.T) {
	eachConn(t, nil, func(t *testing.T, client testpb.TestServiceClient) {
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				f := future.Start(t.Context(), client.Unary, request("a"))
				for range i % 50 {
					runtime.Gosched()
				}
				cancelled := f.Cancel()
				resp, err := f.Result()
				if cancelled != errors.Is(err, future.ErrCancelled) || cancelled != (resp == nil) || cancelled != f.Cancelled() {
					t.Errorf("Cancel returned %t; the outcome is %v, %v", cancelled, resp, err)
				}
			})
		}
		wg.Wait()
	})
}

// The error of a cancelled call wraps the call's own error. A response is discarded.
func TestCancelledOutcome(t *testing.T) {
	why := errors.New("why")
	for _, outcome := range []error{why, nil} {
		hauberktest.CheckLeaks(t)
		begun := make(chan struct{})
		method := func(ctx context.Context, _ *testpb.Request, _ ...grpc.CallOption) (*testpb.Response, error) {
			close(begun)
			<-ctx.Done()
			return &testpb.Response{}, outcome
		}
		f := future.Start(t.Context(), method, request("a"))
		<-begun
		f.Cancel()
		resp, err := f.Result()
		if resp != nil || !errors.Is(err, future.ErrCancelled) || outcome != nil && !errors.Is(err, outcome) {
			t.Errorf("%v, %v; want %v that wraps %v", resp, err, future.ErrCancelled, outcome)
		}
	}
}

// Cancelled is false if the call's context was cancelled.
func TestContextEnds(t *testing.T) {
	eachConn(t, untilCancelled, func(t *testing.T, client testpb.TestServiceClient) {
		ctx, cancel := context.WithCancel(t.Context())
		f := future.Start(ctx, client.Unary, request("a"))
		cancel()
		if f.Code() != codes.Canceled || f.Cancelled() || errors.Is(f.Err(), future.ErrCancelled) {
			t.Errorf("%v, cancelled %t; want %s of the context", f.Err(), f.Cancelled(), codes.Canceled)
		}
	})
}

func TestDeadline(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		client := clientBehind(t, untilCancelled, pass)
		f := future.Start(t.Context(), client.Unary, request("a"))
		if _, ok := f.Deadline(); ok {
			t.Error("a deadline of a call that has none")
		}
		if _, ok := f.TimeRemaining(); ok {
			t.Error("time that remains to a call without a deadline")
		}
		f.Cancel()
		<-f.Done()

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f = future.Start(ctx, client.Unary, request("a"))
		<-time.After(20 * time.Second)
		want, _ := ctx.Deadline()
		if got, ok := f.Deadline(); !ok || !got.Equal(want) {
			t.Errorf("deadline %v, %t; want %v", got, ok, want)
		}
		if got, ok := f.TimeRemaining(); !ok || got != 40*time.Second {
			t.Errorf("%v remain, %t; want 40s", got, ok)
		}
		if f.Code() != codes.DeadlineExceeded {
			t.Errorf("%v; want %s", f.Err(), codes.DeadlineExceeded)
		}
		<-time.After(time.Second)
		if got, ok := f.TimeRemaining(); !ok || got != 0 {
			t.Errorf("%v remain, %t, of a call that has ended; want 0", got, ok)
		}
	})
}

// Each callback runs once: in order if it was added before the end, otherwise at once.
func TestCallbacks(t *testing.T) {
	eachConn(t, nil, func(t *testing.T, client testpb.TestServiceClient) {
		release := make(chan struct{})
		method := func(ctx context.Context, req *testpb.Request, opts ...grpc.CallOption) (*testpb.Response, error) {
			<-release
			return client.Unary(ctx, req, opts...)
		}
		f := future.Start(t.Context(), method, request("a"))
		ran := make(chan int, 10)
		for i := range 3 {
			f.AddDoneCallback(func(f *future.Future[testpb.Response]) {
				if resp, err := f.Result(); err != nil || resp.GetText() != "echo:a" {
					t.Errorf("a callback found %v, %v", resp, err)
				}
				ran <- i
			})
		}
		close(release)
		<-f.Done()
		var order []int
		for range 3 {
			order = append(order, <-ran)
		}
		if !slices.Equal(order, []int{0, 1, 2}) {
			t.Errorf("callbacks ran in the order %v", order)
		}
		late := false
		f.AddDoneCallback(func(*future.Future[testpb.Response]) { late = true })
		if !late || len(ran) > 0 {
			t.Errorf("a late callback ran: %t; %d ran again", late, len(ran))
		}
	})
}

func TestCallbacksAddedDuringTheEnd(t *testing.T) {
	eachConn(t, nil, func(t *testing.T, client testpb.TestServiceClient) {
		const futures, callbacks = 50, 8
		var ran, adding, running sync.WaitGroup
		var count [futures][callbacks]atomic.Int32
		for i := range futures {
			f := future.Start(t.Context(), client.Unary, request("a"))
			for j := range callbacks {
				ran.Add(1)
				adding.Go(func() {
					f.AddDoneCallback(func(*future.Future[testpb.Response]) {
						count[i][j].Add(1)
						ran.Done()
					})
				})
			}
			running.Go(func() { <-f.Done() })
		}
		adding.Wait()
		running.Wait()
		ran.Wait()
		for i := range futures {
			for j := range callbacks {
				if n := count[i][j].Load(); n != 1 {
					t.Errorf("callback %d of future %d ran %d times", j, i, n)
				}
			}
		}
	})
}

// If a callback ends its goroutine, the others still run.
func TestCallbackExits(t *testing.T) {
	hauberktest.CheckLeaks(t)
	release, ran := make(chan struct{}), make(chan struct{})
	f := future.Start(t.Context(), func(context.Context, *testpb.Request, ...grpc.CallOption) (*testpb.Response, error) {
		<-release
		return nil, nil
	}, request("a"))
	f.AddDoneCallback(func(*future.Future[testpb.Response]) { runtime.Goexit() })
	f.AddDoneCallback(func(*future.Future[testpb.Response]) { close(ran) })
	close(release)
	<-ran
}

// The methods that wait panic with the value of the call's panic.
func TestPanic(t *testing.T) {
	hauberktest.CheckLeaks(t)
	client := clientBehind(t, nil, func(context.Context, *hauberk.Call, hauberk.Next) error { panic("boom") })
	f := future.Start(t.Context(), client.Unary, request("a"))
	<-f.Done()
	for name, ask := range map[string]func(){
		"Result": func() { _, _ = f.Result() }, "Err": func() { _ = f.Err() }, "Code": func() { _ = f.Code() },
		"Header": func() { _ = f.Header() }, "Trailer": func() { _ = f.Trailer() }, "Peer": func() { _ = f.Peer() },
	} {
		if v := panicOf(ask); v != "boom" {
			t.Errorf("%s panicked with %v; want boom", name, v)
		}
	}
	if f.Running() || f.Cancel() {
		t.Error("a call that panicked still runs")
	}
}

func panicOf(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

func TestGoexit(t *testing.T) {
	hauberktest.CheckLeaks(t)
	method := func(context.Context, *testpb.Request, ...grpc.CallOption) (*testpb.Response, error) {
		runtime.Goexit()
		return nil, nil
	}
	f := future.Start(t.Context(), method, request("a"))
	if f.Code() != codes.Internal {
		t.Errorf("%v; want %s", f.Err(), codes.Internal)
	}
}

func TestNil(t *testing.T) {
	var method func(context.Context, *testpb.Request, ...grpc.CallOption) (*testpb.Response, error)
	if v := panicOf(func() { future.Start(t.Context(), method, nil) }); v != "future: Start of a nil method" {
		t.Errorf("panic %v", v)
	}
	client := testpb.NewTestServiceClient(nil)
	if v := panicOf(func() { future.StartStream(t.Context(), client.ClientStream, nil) }); fmt.Sprint(v) !=
		"future: StartStream of a nil method, or of nil requests" {
		t.Errorf("panic %v", v)
	}
}

// The slice of the caller's options is not written to.
func TestOptionsAreNotWritten(t *testing.T) {
	hauberktest.CheckLeaks(t)
	client := clientBehind(t, nil, pass)
	opts := make([]grpc.CallOption, 1, 8)
	opts[0] = grpc.WaitForReady(true)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := future.Start(t.Context(), client.Unary, request("a"), opts...).Err(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if opts[:2][1] != nil {
		t.Error("the caller's slice was written")
	}
}
