package transform_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// bubbles is each in a synctest bubble, with a fake clock.
func bubbles(t *testing.T, where func(c hauberktest.Case) bool, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	each(t, where, func(t *testing.T, c hauberktest.Case) {
		synctest.Test(t, func(t *testing.T) { test(t, c) })
	})
}

func everywhere(hauberktest.Case) bool { return true }

// An inner interceptor receives the new deadline of the call.
func TestTimeouts(t *testing.T) {
	const none = 0
	tests := []struct {
		name     string
		config   transform.Config
		callers  time.Duration
		want     time.Duration
		onServer bool
	}{
		{"nothing", transform.Config{}, none, none, true},
		{"nothing, caller's", transform.Config{}, time.Minute, time.Minute, true},
		{"fixed", transform.Config{Timeout: time.Second}, none, time.Second, false},
		{"fixed, caller's later", transform.Config{Timeout: time.Second}, time.Minute, time.Second, false},
		{"fixed, caller's sooner", transform.Config{Timeout: time.Hour}, time.Minute, time.Hour, false},
		{"none", transform.Config{NoTimeout: true}, none, none, false},
		{"none, caller's", transform.Config{NoTimeout: true}, time.Minute, none, false},
		{"default", transform.Config{DefaultTimeout: time.Second}, none, time.Second, true},
		{"default, caller's", transform.Config{DefaultTimeout: time.Second}, time.Minute, time.Minute, true},
		{"most", transform.Config{MaxTimeout: time.Second}, none, time.Second, true},
		{"most, caller's later", transform.Config{MaxTimeout: time.Second}, time.Minute, time.Second, true},
		{"most, caller's sooner", transform.Config{MaxTimeout: time.Hour}, time.Minute, time.Minute, true},
		{"default and most", transform.Config{DefaultTimeout: time.Second, MaxTimeout: time.Hour}, none, time.Second, true},
		{"default and most, caller's", transform.Config{DefaultTimeout: time.Second, MaxTimeout: time.Hour}, 2 * time.Hour, time.Hour, true},
		{"fixed and most", transform.Config{Timeout: time.Second, MaxTimeout: time.Hour}, time.Minute, time.Second, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			where := onClient
			if test.onServer {
				where = everywhere
			}
			bubbles(t, where, func(t *testing.T, c hauberktest.Case) {
				got := time.Duration(none)
				inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if deadline, ok := ctx.Deadline(); ok {
						got = time.Until(deadline)
					}
					return next(ctx, call)
				})
				ctx := t.Context()
				if test.callers > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.callers)
					defer cancel()
				}
				if out := c.Start(t, transform.New(test.config), inner).Call(ctx); out.Err != nil {
					t.Fatal(out.Err)
				}
				if got != test.want {
					t.Errorf("the call has %v; want %v (0: no deadline)", got, test.want)
				}
			})
		})
	}
}

// waiting is a backend that answers after a delay, unless its context is done before.
func waiting(d time.Duration) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return hauberktest.Echo(ctx, s)
		}
	}}
}

func TestTimeoutEndsCalls(t *testing.T) {
	bubbles(t, everywhere, func(t *testing.T, c hauberktest.Case) {
		x := transform.New(transform.Config{MaxTimeout: time.Second})
		start := time.Now()
		out := c.StartWith(t, waiting(time.Hour), x).Call(t.Context())
		if status.Code(out.Err) != codes.DeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("%v after %v; want %s after a second", out.Err, time.Since(start), codes.DeadlineExceeded)
		}
	})
}

// A call without its caller's deadline continues after that has passed.
func TestNoTimeoutGoesOn(t *testing.T) {
	bubbles(t, onClient, func(t *testing.T, c hauberktest.Case) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		x := transform.New(transform.Config{NoTimeout: true})
		if out := c.StartWith(t, waiting(time.Hour), x).Call(ctx); out.Err != nil {
			t.Error(out.Err)
		}
	})
}

// A stream without its caller's deadline lasts as long as the caller uses it, and ends soon
// after that: the caller's cancellation is no longer visible.
func TestNoTimeoutLeavesNoStream(t *testing.T) {
	const timeout, slow = time.Minute, 50 * time.Second
	stream := func(c hauberktest.Case) bool { return onClient(c) && c.Kind.ServerStreams() }
	bubbles(t, stream, func(t *testing.T, c hauberktest.Case) {
		var deadline bool
		ended := make(chan time.Time, 1)
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			_, deadline = ctx.Deadline()
			for range 4 { // within the deadline, after it, and the last one long after
				if err := s.Send(&testpb.Response{}); err != nil {
					return err
				}
				time.Sleep(slow) //nolint:forbidigo // synctest: the clock is fake
			}
			time.Sleep(time.Hour) //nolint:forbidigo // synctest: the clock is fake
			_ = s.Send(&testpb.Response{})
			<-ctx.Done()
			ended <- time.Now()
			return ctx.Err()
		}}
		env := c.StartWith(t, backend, transform.New(transform.Config{NoTimeout: true}))
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		s, err := env.Conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: c.Kind.ClientStreams()}, hauberktest.FullMethod(c.Kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.SendMsg(&testpb.Request{}), s.CloseSend()); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := s.RecvMsg(&testpb.Response{}); err != nil {
				t.Fatalf("response %d: %v", i+1, err)
			}
			time.Sleep(slow - time.Second) //nolint:forbidigo // synctest: the clock is fake
		}
		last := time.Now()
		cancel() // as `defer cancel()` does, long after the deadline
		if wait := (<-ended).Sub(last); wait > 2*timeout {
			t.Errorf("the server's call ended %v after the caller abandoned it, want at most two timeouts", wait)
		}
		if err := s.RecvMsg(&testpb.Response{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the stream ended with %v, want %s", err, codes.DeadlineExceeded)
		}
		if deadline {
			t.Error("the server received a deadline")
		}
	})
}

// A caller can cancel a call whose deadline is replaced or removed.
func TestNoTimeoutIsCancelled(t *testing.T) {
	bubbles(t, onClient, func(t *testing.T, c hauberktest.Case) {
		parent, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		ctx, cancel := context.WithCancelCause(parent)
		why := errors.New("why")
		time.AfterFunc(time.Minute, func() { cancel(why) })
		var cause error
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			cause = context.Cause(ctx)
			return err
		})
		start := time.Now()
		out := c.StartWith(t, waiting(2*time.Hour), transform.New(transform.Config{NoTimeout: true}), inner).Call(ctx)
		if status.Code(out.Err) != codes.Canceled || time.Since(start) != time.Minute {
			t.Errorf("%v after %v; want %s after a minute", out.Err, time.Since(start), codes.Canceled)
		}
		if !errors.Is(cause, why) {
			t.Errorf("the cause is %v; want the caller's", cause)
		}
	})
}

// A call with WaitForReady waits for a connection.
func TestWaitForReady(t *testing.T) {
	tests := []struct {
		name  string
		value *bool
		opts  []grpc.CallOption
		want  codes.Code
	}{
		{"caller's", nil, nil, codes.Unavailable},
		{"true", new(true), nil, codes.OK},
		{"false", new(false), []grpc.CallOption{grpc.WaitForReady(true)}, codes.Unavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubbles(t, onClient, func(t *testing.T, c hauberktest.Case) {
				lis := bufconn.Listen(1 << 16)
				dials := 0
				env := hauberktest.Start(t, hauberktest.Setup{
					Kind:   c.Kind,
					Client: hauberk.Must(hauberk.New(transform.New(transform.Config{WaitForReady: test.value}))),
					DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
						dials++
						if dials == 1 {
							return nil, errors.New("no one there yet")
						}
						return lis.DialContext(ctx)
					})},
				})
				srv := hauberk.Must(hauberk.New()).NewServer()
				testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
				go func() { _ = srv.Serve(lis) }()
				defer srv.Stop()
				out := env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{{}}, test.opts...)
				if status.Code(out.Err) != test.want {
					t.Errorf("%v; want %s", out.Err, test.want)
				}
				_ = env.Client.Close()
			})
		})
	}
}
