package hauberk_test

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file hold rule f for hooks that wait (OnSendContext and OnReceiveContext).

// waiter is an interceptor whose hooks wait until their context ends, if waits returns true for the
// nth message of the call.
func waiter(direction string, waits func(n int64) bool) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		var n atomic.Int64
		wait := func(ctx context.Context) error {
			if !waits(n.Add(1)) {
				return ctx.Err()
			}
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		}
		if direction == "send" {
			call.OnSendContext(func(ctx context.Context, msg any, emit func(any) error) error {
				if err := wait(ctx); err != nil {
					return err
				}
				return emit(msg)
			})
		} else {
			call.OnReceiveContext(func(ctx context.Context, _ any) (bool, error) { return true, wait(ctx) })
		}
		return next(ctx, call)
	})
}

// decidingWaiter is a waiter that can be in shadow.
type decidingWaiter struct{ hauberk.Interceptor }

func (decidingWaiter) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "waiter", Decides: true}
}

// over is a server that ends each call without reading it.
func over(t *testing.T, client ...hauberk.Interceptor) *hauberktest.Env {
	t.Helper()
	reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return status.Error(codes.FailedPrecondition, "over")
	})
	return hauberktest.Start(t, hauberktest.Setup{
		Backend: &hauberktest.Backend{}, Server: hauberk.Must(hauberk.New(reject)), Client: hauberk.Must(hauberk.New(client...)),
	})
}

// TestWaitingHookEndsWithTheStream: a message that waits in a hook delays neither the status of a stream that the
// server has ended nor the end of SendMsg.
func TestWaitingHookEndsWithTheStream(t *testing.T) {
	wait := waiter("send", everyOne)
	for name, chain := range map[string][]hauberk.Interceptor{
		"alone":                    {wait},
		"around a retry":           {wait, retry(3)},
		"inside a retry":           {retry(3), wait},
		"around an adapter":        {wait, adapted()},
		"inside an adapter":        {adapted(), wait},
		"between hooks":            {passThrough(), wait, passThrough()},
		"with a guard":             {recoverer{}, wait},
		"in shadow inside a retry": {retry(2), hauberk.Shadow(decidingWaiter{wait})},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, []hauberk.Kind{hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}, func(t *testing.T, kind hauberk.Kind) {
				began := time.Now()
				stream := start(patient(t), t, over(t, chain...).Conn, kind)
				sent := make(chan error, 1)
				go func() {
					err := stream.SendMsg(message("x"))
					_ = stream.CloseSend()
					sent <- err
				}()
				if got := <-receiving(stream); status.Code(got.err) != codes.FailedPrecondition {
					t.Errorf("RecvMsg returned %v", got.err)
				}
				want := io.EOF
				if !kind.ClientStreams() {
					want = nil
				}
				if err := <-sent; err != want { //nolint:errorlint // io.EOF itself
					t.Errorf("SendMsg returned %v, want %v", err, want)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("the end took %v", took)
				}
			})
		})
	}
}

// TestWaitingReplayEndsWithTheStream: a replay that waits in a hook does not delay the status of the attempt.
func TestWaitingReplayEndsWithTheStream(t *testing.T) {
	bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
		var calls, seen atomic.Int64
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if calls.Add(1) == 1 {
				_, _ = s.Recv()
				return status.Error(codes.Unavailable, "restarting")
			}
			return status.Error(codes.FailedPrecondition, "over")
		}}
		second := waiter("send", func(int64) bool { return seen.Add(1) > 1 }) // that is the replay
		began := time.Now()
		stream := start(patient(t), t, behind(t, backend, retry(3), second), kind)
		if err := stream.SendMsg(message("x")); err != nil {
			t.Fatal(err)
		}
		if got := <-receiving(stream); status.Code(got.err) != codes.FailedPrecondition {
			t.Errorf("RecvMsg returned %v", got.err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

// TestWaitingMessageIsNotLost: a message that the server has sent waits in a hook during a replay, and the context of
// the attempt ends. The message is lost then: the attempt must not end with OK, even if that has arrived.
func TestWaitingMessageIsNotLost(t *testing.T) {
	bubbles(t, []hauberk.Kind{hauberk.Bidi}, func(t *testing.T, kind hauberk.Kind) {
		conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
			received := 0
			return &script{receive: func(_ context.Context, msg any) error {
				received++
				switch {
				case n == 1:
					return status.Error(codes.Unavailable, "restarting")
				case received > 2:
					return io.EOF
				}
				msg.(*testpb.Response).Text = strconv.Itoa(received)
				return nil
			}}, nil
		}}
		end := func(ctx context.Context) error {
			<-ctx.Done()
			sleep(time.Millisecond) // it is known by then that the hooks are over
			return status.FromContextError(ctx.Err()).Err()
		}
		var sent atomic.Int64
		waits := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSendContext(func(ctx context.Context, msg any, emit func(any) error) error {
				if sent.Add(1) == 1 {
					return emit(msg)
				}
				return end(ctx)
			})
			call.OnReceiveContext(func(ctx context.Context, _ any) (bool, error) { return true, end(ctx) })
			return next(ctx, call)
		})
		outcomes := make(endings, 1)
		chain := hauberk.Must(hauberk.New(outcomes, retry(3), waits))
		ctx, cancel := context.WithCancel(patient(t))
		stream := start(ctx, t, chain.ClientConn(conn), kind)
		if err := stream.SendMsg(message("x")); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, cancel)
		if got := <-receiving(stream); status.Code(got.err) != codes.Canceled {
			t.Errorf("received %q, %v; want CANCELLED", got.text, got.err)
		}
		wantCode(t, <-outcomes, codes.Canceled)
	})
}

// TestWaitingHookEndsWithAnother: the failure of a hook ends those that wait in the other direction. The error of the
// call is that of the first.
func TestWaitingHookEndsWithAnother(t *testing.T) {
	bubbles(t, []hauberk.Kind{hauberk.Bidi}, func(t *testing.T, kind hauberk.Kind) {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if err := s.Send(&testpb.Response{}); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		conn := behind(t, backend, rejecting("send", codes.InvalidArgument), waiter("receive", everyOne))
		stream := start(patient(t), t, conn, kind)
		got := receiving(stream)
		<-time.After(time.Second)
		wantRejected(t, "SendMsg", stream.SendMsg(message("bad")), codes.InvalidArgument)
		wantRejected(t, "RecvMsg", (<-got).err, codes.InvalidArgument)
	})
}

// TestHookContext: the context of a hook has not ended while the call goes on, that of a held response included, and
// has the values that were given to next.
func TestHookContext(t *testing.T) {
	type key struct{}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var sent, received atomic.Int64
		check := func(ctx context.Context) {
			if ctx.Err() != nil || ctx.Value(key{}) != "given" || hauberk.FromContext(ctx) == nil {
				t.Errorf("the context has the error %v and the value %v", ctx.Err(), ctx.Value(key{}))
			}
		}
		env := c.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSendContext(func(ctx context.Context, msg any, emit func(any) error) error {
				check(ctx)
				sent.Add(1)
				return emit(msg)
			})
			call.OnReceiveContext(func(ctx context.Context, _ any) (bool, error) {
				check(ctx)
				received.Add(1)
				return true, nil
			})
			return next(context.WithValue(ctx, key{}, "given"), call)
		}))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		if sent.Load() == 0 || received.Load() == 0 {
			t.Errorf("the hooks saw %d and %d messages", sent.Load(), received.Load())
		}
	})
}

// TestNilContextHook: next reports a nil hook.
func TestNilContextHook(t *testing.T) {
	for name, register := range map[string]func(call *hauberk.Call){
		"OnSendContext":    func(call *hauberk.Call) { call.OnSendContext(nil) },
		"OnReceiveContext": func(call *hauberk.Call) { call.OnReceiveContext(nil) },
	} {
		env := hauberktest.Case{}.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			register(call)
			err := next(ctx, call)
			if err == nil || !strings.Contains(err.Error(), "Call."+name+" with a nil function") {
				t.Errorf("next returned %v", err)
			}
			return err
		}))
		wantCode(t, env.Call(t.Context()).Err, codes.Internal)
	}
}

func everyOne(int64) bool { return true }

// TestHookReadsTheMethod: a hook may read what is safe for concurrent use while an inner interceptor, which has
// registered hooks as well, returns. The race detector decides.
func TestHookReadsTheMethod(t *testing.T) {
	bubbles(t, []hauberk.Kind{hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}, func(t *testing.T, kind hauberk.Kind) {
		left := make(chan struct{})
		reading := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(msg any, emit func(any) error) error {
				_, _ = call.Method(), call.Public()
				<-left
				sleep(time.Millisecond)
				return emit(msg)
			})
			return next(ctx, call)
		})
		leaving := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			defer close(left)
			call.OnReceive(func(any) (bool, error) { return true, nil })
			return next(ctx, call)
		})
		stream := start(patient(t), t, over(t, reading, leaving).Conn, kind)
		go func() { _ = stream.SendMsg(message("x")) }()
		wantCode(t, (<-receiving(stream)).err, codes.FailedPrecondition)
	})
}
