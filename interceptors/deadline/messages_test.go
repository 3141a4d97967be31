package deadline_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// timeout is the timeout of messages in these tests, and late is how late it may fire.
const (
	timeout = 8 * time.Second
	late    = 2 * timeout / 8
)

// TestReceiveTimeoutOfAServer: a client that sends nothing, or no more, is ended; its handler is released.
func TestReceiveTimeoutOfAServer(t *testing.T) {
	for name, config := range map[string]deadline.Config{
		deadline.ReasonReceive: {ReceiveTimeout: timeout},
		deadline.ReasonIdle:    {IdleTimeout: timeout},
	} {
		t.Run(name, func(t *testing.T) {
			onServers(t, func(t *testing.T, c hauberktest.Case) {
				for _, first := range []int{0, 1, 3} {
					if first > 0 && !c.Kind.ClientStreams() {
						continue // its call is not waiting for anything
					}
					w := new(witness)
					env := c.Start(t, w, deadline.New(config))
					stream := begin(t.Context(), t, env, c.Kind)
					for range first {
						pass(timeout * 3 / 4)
						if err := stream.SendMsg(&testpb.Request{}); err != nil {
							t.Fatal(err)
						}
					}
					start := time.Now()
					var err error
					for err == nil {
						err = stream.RecvMsg(new(testpb.Response))
					}
					wantReason(t, err, name)
					wantBetween(t, start, timeout, timeout+late)
					synctest.Wait()
					if len(w.outcomes) != 1 || hauberk.Reason(w.outcomes[0]) != name || len(w.decisions) != 1 || w.decisions[0].Reason != name {
						t.Errorf("the outer interceptor sees %v and %+v", w.outcomes, w.decisions)
					}
				}
			})
		})
	}
}

// TestReceiveTimeoutOfAClient: the call of a server that does not answer ends on both ends, with a context
// that ends as at a deadline: a breaker inside counts a failure.
func TestReceiveTimeoutOfAClient(t *testing.T) {
	for name, config := range map[string]deadline.Config{
		deadline.ReasonReceive: {ReceiveTimeout: timeout},
		deadline.ReasonIdle:    {IdleTimeout: timeout},
	} {
		t.Run(name, func(t *testing.T) {
			matrix(t, func(t *testing.T, c hauberktest.Case) {
				if c.Side == hauberk.ServerSide {
					return
				}
				released := false
				b := handler(func(ctx context.Context, _ hauberktest.Stream) error {
					<-ctx.Done()
					released = true
					return ctx.Err()
				})
				broken := breaker.New(breaker.Config{FailureThreshold: 1})
				start := time.Now()
				out := c.StartWith(t, b, deadline.New(config), broken).Call(t.Context())
				wantReason(t, out.Err, name)
				wantBetween(t, start, timeout, timeout+late)
				synctest.Wait()
				if !released {
					t.Error("the handler is not released")
				}
				for circuit, state := range broken.States() {
					if state != breaker.Open {
						t.Errorf("the circuit %s is %v; want open", circuit, state)
					}
				}
			})
		})
	}
}

// TestTimeoutOfAClientWins: a call that a timeout has ended, and whose inner interceptors return another error, ends with
// DEADLINE_EXCEEDED and the reason. A retry returns the status of the last attempt, for example.
func TestTimeoutOfAClientWins(t *testing.T) {
	for name, inner := range map[string]hauberk.Interceptor{
		"retry waits": retry.New(retry.Config{
			AllMethods: true, MaxReplayBytes: 1 << 10, NoJitter: true,
			InitialBackoff: 3 * timeout, MaxBackoff: 3 * timeout,
		}),
		"another status": hauberk.Func(func(ctx context.Context, _ *hauberk.Call, _ hauberk.Next) error {
			<-ctx.Done()
			return status.Error(codes.Unavailable, "given up")
		}),
	} {
		t.Run(name, func(t *testing.T) {
			matrix(t, func(t *testing.T, c hauberktest.Case) {
				if c.Side == hauberk.ServerSide {
					return
				}
				b := handler(func(context.Context, hauberktest.Stream) error {
					return status.Error(codes.Unavailable, "down")
				})
				w := new(witness)
				env := c.StartWith(t, b, w, deadline.New(deadline.Config{IdleTimeout: timeout}), inner)
				start := time.Now()
				wantReason(t, env.Call(t.Context()).Err, deadline.ReasonIdle)
				wantBetween(t, start, timeout, timeout+late)
				if len(w.outcomes) != 1 || hauberk.Reason(w.outcomes[0]) != deadline.ReasonIdle {
					t.Errorf("the outer interceptor sees %v", w.outcomes)
				}
			})
		})
	}
}

// TestSendTimeout: a peer that does not read is ended, and what waits in Send is released.
func TestSendTimeout(t *testing.T) {
	matrix(t, func(t *testing.T, c hauberktest.Case) {
		onServer := c.Side == hauberk.ServerSide
		if onServer && !c.Kind.ServerStreams() || !onServer && !c.Kind.ClientStreams() {
			return // a single message waits for nothing, or is sent after the chain
		}
		var start time.Time
		var released time.Duration
		fill := func(send func() error) {
			start = time.Now()
			for err := error(nil); err == nil; { // without a wait until the peer's window is full
				err = send()
			}
			released = time.Since(start)
		}
		b := handler(func(ctx context.Context, s hauberktest.Stream) error {
			if onServer {
				fill(func() error { return s.Send(&testpb.Response{Payload: make([]byte, 1<<14)}) })
			}
			<-ctx.Done()
			return ctx.Err()
		})
		w := new(witness)
		env := c.StartWith(t, b, w, deadline.New(deadline.Config{SendTimeout: timeout}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream := begin(ctx, t, env, c.Kind)
		if onServer {
			if err := stream.SendMsg(&testpb.Request{}); err != nil {
				t.Fatal(err)
			}
			_ = stream.CloseSend()
			pass(2 * timeout)
		} else {
			fill(func() error { return stream.SendMsg(&testpb.Request{Payload: make([]byte, 1<<14)}) })
			wantReason(t, stream.RecvMsg(new(testpb.Response)), deadline.ReasonSend)
		}
		synctest.Wait()
		if released < timeout || released > timeout+late {
			t.Errorf("the sender was released after %v; want %v to %v", released, timeout, timeout+late)
		}
		if len(w.outcomes) != 1 || hauberk.Reason(w.outcomes[0]) != deadline.ReasonSend {
			t.Errorf("the outer interceptor sees %v", w.outcomes)
		}
	})
}

// TestMessagesKeepAStreamAlive: a stream with a message before each timeout goes on for any time, and one that waits
// for nothing has no ReceiveTimeout.
func TestMessagesKeepAStreamAlive(t *testing.T) {
	matrix(t, func(t *testing.T, c hauberktest.Case) {
		b := handler(func(ctx context.Context, s hauberktest.Stream) error {
			if c.Kind == hauberk.ServerStream {
				for range 20 {
					pass(timeout * 3 / 4)
					if err := s.Send(&testpb.Response{}); err != nil {
						return err
					}
				}
				return nil
			}
			return hauberktest.Echo(ctx, s)
		})
		env := c.StartWith(t, b, deadline.New(deadline.Config{
			ReceiveTimeout: timeout, SendTimeout: timeout, IdleTimeout: timeout,
		}))
		stream := begin(t.Context(), t, env, c.Kind)
		sends := 1
		if c.Kind.ClientStreams() {
			sends = 20
		}
		for range sends {
			pass(timeout * 3 / 4)
			if err := stream.SendMsg(&testpb.Request{}); err != nil {
				t.Fatal(err)
			}
		}
		_ = stream.CloseSend()
		var err error
		for err == nil {
			if err = stream.RecvMsg(new(testpb.Response)); err == nil && !c.Kind.ServerStreams() {
				err = io.EOF
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("the call ended with %v", err)
		}
	})
}

// TestSlowHandler: ReceiveTimeout does not count the time in which a handler is not in Recv, and IdleTimeout does.
func TestSlowHandler(t *testing.T) {
	for name, config := range map[string]deadline.Config{
		"": {ReceiveTimeout: timeout}, deadline.ReasonIdle: {IdleTimeout: timeout},
	} {
		t.Run("reason "+name, func(t *testing.T) {
			onServers(t, func(t *testing.T, c hauberktest.Case) {
				b := handler(func(ctx context.Context, s hauberktest.Stream) error {
					pass(3 * timeout)
					return hauberktest.Echo(ctx, s)
				})
				out := c.StartWith(t, b, deadline.New(config)).Call(t.Context())
				if got := hauberk.Reason(out.Err); got != name {
					t.Errorf("the call ended with %v", out.Err)
				}
			})
		})
	}
}

// TestEndsOnce: a call that ends when a timeout fires has one outcome, and leaves no timer.
func TestEndsOnce(t *testing.T) {
	matrix(t, func(t *testing.T, c hauberktest.Case) {
		b := handler(func(ctx context.Context, s hauberktest.Stream) error {
			pass(timeout) // the answer and the timeout are due at once
			return hauberktest.Echo(ctx, s)
		})
		w := new(witness)
		env := c.StartWith(t, b, w, deadline.New(deadline.Config{IdleTimeout: timeout, Max: timeout}))
		for range 20 {
			out := env.Call(t.Context())
			if code := hauberk.CodeOf(out.Err); code != codes.OK && code != codes.DeadlineExceeded {
				t.Errorf("the call ended with %v", out.Err)
			}
			synctest.Wait()
			if got := w.outcomes[len(w.outcomes)-1]; hauberk.CodeOf(got) != hauberk.CodeOf(out.Err) {
				t.Errorf("the caller gets %v, and the outer interceptor %v", out.Err, got)
			}
		}
	})
}
