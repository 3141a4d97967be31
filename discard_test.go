package hauberk_test

import (
	"context"
	"errors"
	"io"
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
					var call *hauberk.Call
					var outcome error
					discarding := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
						c.Replayable(1 << 10)
						call = c
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
					if !call.Discard() {
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

// discardingCredentials calls Discard while the first attempt is being opened.
type discardingCredentials struct {
	call    *hauberk.Call
	allowed []bool
}

func (c *discardingCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if len(c.allowed) == 0 {
		c.allowed = append(c.allowed, c.call.Discard())
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
					creds.call = c
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

// Rule e: Discard includes an attempt that inner interceptors have not made yet. The next one of the interceptor
// that has called Discard is another.
func TestDiscardBeforeAttempt(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		synctest.Test(t, func(t *testing.T) {
			var outcome error
			outer := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				c.Replayable(1 << 10)
				time.AfterFunc(time.Second, func() {
					if !c.Discard() {
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
			var call *hauberk.Call
			note := func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				call = c
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
			if messages > 0 && !call.Discard() {
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
