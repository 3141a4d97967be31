package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Rule e: an attempt that was discarded does not end with OK without its messages. The application receives those of
// the next attempt, or the error.
func TestDiscardedAttempt(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		for _, messages := range []int{0, 1, 3} {
			for _, again := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					var discard func() bool
					var outcome error
					discarding := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
						c.Replayable(1 << 10)
						discard = c.Discardable()
						outcome = next(ctx, c)
						if again {
							return next(ctx, c)
						}
						return outcome
					}
					backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
						if _, err := s.Recv(); err != nil {
							return err
						}
						for range messages {
							if err := s.Send(&testpb.Response{}); err != nil {
								return err
							}
						}
						return nil
					}}
					env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, hauberk.Func(discarding))
					stream := open(t.Context(), t, env, kind)
					if err := stream.CloseSend(); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if !discard() {
						t.Fatal("the call is committed")
					}
					received, err := 0, error(nil)
					for err == nil {
						if err = stream.RecvMsg(new(testpb.Response)); err == nil {
							received++
						}
					}
					lacks := messages > 0
					if errors.Is(outcome, hauberk.ErrDiscarded) != lacks {
						t.Errorf("%v with %d messages ended with %v", kind, messages, outcome)
					}
					ok := err == io.EOF && received == messages
					if want := again || !lacks; ok != want || !want && (received > 0 || !errors.Is(err, hauberk.ErrDiscarded)) {
						t.Errorf("%v, next attempt %v: received %d of %d messages, and then %v", kind, again, received, messages, err)
					}
				})
			}
		}
	}
}

// discardingCredentials discards the attempt while the first attempt is being opened.
type discardingCredentials struct {
	discard func() bool
	allowed []bool
}

func (c *discardingCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if len(c.allowed) == 0 {
		c.allowed = append(c.allowed, c.discard())
	}
	return nil, nil
}

func (*discardingCredentials) RequireTransportSecurity() bool { return false }

// Rule e: an attempt that was discarded while it was being opened does not commit the call, neither by its messages
// nor by its header, however long the interceptor takes to cancel it.
func TestDiscardWhileOpening(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		for _, asksHeader := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var outcome error
				creds := &discardingCredentials{}
				discarding := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
					c.Replayable(1 << 10)
					creds.discard = c.Discardable()
					late, cancel := context.WithTimeout(ctx, time.Second)
					defer cancel()
					if outcome = next(late, c); !c.CanAttempt() {
						t.Error("a discarded attempt has committed the call")
					}
					return next(ctx, c)
				}
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					if _, err := s.Recv(); err != nil {
						return err
					}
					return errors.Join(s.Send(&testpb.Response{}), s.Send(&testpb.Response{}))
				}}
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, hauberk.Func(discarding))
				desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: kind.ClientStreams()}
				stream, err := env.Conn.NewStream(t.Context(), desc, hauberktest.FullMethod(kind), grpc.PerRPCCredentials(creds))
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(stream.SendMsg(&testpb.Request{}), stream.CloseSend()); err != nil {
					t.Fatal(err)
				}
				if asksHeader {
					if md, err := stream.Header(); err != nil || md == nil {
						t.Errorf("%v: the header is %v, %v; want that of the next attempt", kind, md, err)
					}
				}
				received := 0
				for err == nil {
					if err = stream.RecvMsg(new(testpb.Response)); err == nil {
						received++
					}
				}
				if err != io.EOF || received != 2 || outcome == nil || !creds.allowed[0] {
					t.Errorf("%v: received %d messages, and then %v; the first attempt ended with %v", kind, received, err, outcome)
				}
			})
		}
	}
}

// Rule e: attempts that inner interceptors have not made yet are discarded, too. The next one of the interceptor that
// has discarded them is another.
func TestDiscardBeforeAttempt(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		synctest.Test(t, func(t *testing.T) {
			var outcome error
			outer := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				c.Replayable(1 << 10)
				discard := c.Discardable()
				time.AfterFunc(time.Second, func() {
					if !discard() {
						t.Error("a call without an attempt is committed")
					}
				})
				if outcome = next(ctx, c); !c.CanAttempt() {
					t.Error("a discarded attempt has committed the call")
				}
				return next(ctx, c)
			}
			waits := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				<-time.After(2 * time.Second)
				return next(ctx, c)
			}
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				return errors.Join(s.Send(&testpb.Response{}), s.Send(&testpb.Response{}))
			}}
			env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(
				t, backend, hauberk.Func(outer), hauberk.Func(waits))
			stream := open(t.Context(), t, env, kind)
			received, err := 0, stream.CloseSend()
			for err == nil {
				if err = stream.RecvMsg(new(testpb.Response)); err == nil {
					received++
				}
			}
			if err != io.EOF || received != 2 || !errors.Is(outcome, hauberk.ErrDiscarded) {
				t.Errorf("%v: received %d messages, and then %v; the first attempt ended with %v", kind, received, err, outcome)
			}
		})
	}
}

// Rule e: an attempt that was discarded, and lacks messages, does not end with the error of the server either.
func TestDiscardedBeforeError(t *testing.T) {
	for _, messages := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			var discard func() bool
			note := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				discard = c.Discardable()
				return next(ctx, c)
			}
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				for range messages {
					if err := s.Send(&testpb.Response{}); err != nil {
						return err
					}
				}
				return status.Error(codes.NotFound, "")
			}}
			env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}.StartWith(
				t, backend, hauberk.Func(note))
			stream := open(t.Context(), t, env, hauberk.ServerStream)
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if messages > 0 && !discard() {
				t.Fatal("the call is committed")
			}
			err := stream.RecvMsg(new(testpb.Response))
			discarded := errors.Is(err, hauberk.ErrDiscarded)
			if discarded != (messages > 0) || !discarded && status.Code(err) != codes.NotFound {
				t.Errorf("with %d messages it ended with %v", messages, err)
			}
		})
	}
}

// Rule e: what an interceptor discards includes the attempts that inner ones make until it calls next again, also
// those after a backoff, and those that an inner interceptor between makes again.
func TestDiscardDuringBackoff(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		for name, inner := range map[string][]hauberk.Interceptor{
			"retry":               {backingOff(codes.Unavailable)},
			"retries":             {backingOff(codes.Canceled), backingOff(codes.Unavailable)},
			"retry in an adapter": {adapted(), backingOff(codes.Unavailable)},
		} {
			t.Run(fmt.Sprint(kind, " ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var outcomes []error
					outer := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
						c.Replayable(1 << 10)
						discard := c.Discardable()
						bounded, cancel := context.WithCancel(ctx)
						defer cancel()
						time.AfterFunc(time.Second, func() { // the inner interceptor waits until 2 s
							if !discard() {
								t.Error("a call without an attempt is committed")
							}
						})
						time.AfterFunc(time.Minute, cancel)
						outcomes = append(outcomes, next(bounded, c))
						return next(ctx, c)
					}
					attempts := 0
					backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
						attempts++
						if attempts == 1 {
							return status.Error(codes.Unavailable, "")
						}
						return errors.Join(s.Send(&testpb.Response{}), s.Send(&testpb.Response{}))
					}}
					env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(
						t, backend, append([]hauberk.Interceptor{hauberk.Func(outer)}, inner...)...)
					stream := open(t.Context(), t, env, kind)
					received, err := 0, stream.CloseSend()
					for err == nil {
						if err = stream.RecvMsg(new(testpb.Response)); err == nil {
							received++
						}
					}
					if err != io.EOF || received != 2 || len(outcomes) != 1 || outcomes[0] == nil {
						t.Errorf("received %d messages, and then %v; discarded attempts ended with %v", received, err, outcomes)
					}
				})
			})
		}
	}
}

// backingOff makes a second attempt, after a wait, if the first has failed with a code.
func backingOff(code codes.Code) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
		c.Replayable(1 << 10)
		err := next(ctx, c)
		if status.Code(err) == code {
			<-time.After(2 * time.Second)
			err = next(ctx, c)
		}
		return err
	})
}

// Rule e: the context that the application asks for does not commit an attempt that is discarded.
func TestContextOfDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		discarding := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
			discard := c.Discardable()
			bounded, cancel := context.WithCancel(ctx)
			defer cancel()
			time.AfterFunc(time.Second, func() { discard() })
			time.AfterFunc(3*time.Second, cancel)
			if err := next(bounded, c); !c.CanAttempt() {
				t.Errorf("a discarded attempt, which ended with %v, is committed", err)
			}
			return next(ctx, c)
		}
		var attempts atomic.Int32
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if attempts.Add(1) == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return s.Send(&testpb.Response{})
		}}
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}.StartWith(
			t, backend, hauberk.Func(discarding))
		stream := open(t.Context(), t, env, hauberk.ServerStream)
		<-time.After(2 * time.Second)
		ctx := stream.Context()
		if err := stream.RecvMsg(new(testpb.Response)); err != nil {
			t.Errorf("received %v; want the message of the second attempt", err)
		}
		if err := stream.RecvMsg(new(testpb.Response)); err != io.EOF {
			t.Errorf("the stream ended with %v", err)
		}
		<-ctx.Done()
	})
}
