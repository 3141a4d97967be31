package hedge_test

import (
	"context"
	"errors"
	"io"
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
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

func open(ctx context.Context, t *testing.T, env *hauberktest.Env) grpc.ClientStream {
	t.Helper()
	desc := &grpc.StreamDesc{ServerStreams: true}
	stream, err := env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(hauberk.ServerStream))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func request(t *testing.T, stream grpc.ClientStream) {
	t.Helper()
	if err := errors.Join(stream.SendMsg(&testpb.Request{}), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
}

// TestIdleApplication: while the application does not wait for the response of a stream, no hedge
// starts.
func TestIdleApplication(t *testing.T) {
	for name, c := range map[string]struct {
		request, receive time.Duration // when the application does
		starts           []time.Duration
	}{
		"late request":     {250 * ms, 250 * ms, []time.Duration{250 * ms, 300 * ms}},
		"late receive":     {0, 450 * ms, []time.Duration{0, 500 * ms}},
		"receives at once": {0, 0, []time.Duration{0, delay}},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			synctest.Test(t, func(t *testing.T) {
				s := scripted(never, step{})
				stream := open(t.Context(), t, start(t, hauberk.ServerStream, s, all(hedge.Config{MaxAttempts: 3})))
				<-time.After(c.request)
				request(t, stream)
				<-time.After(c.receive - c.request)
				resp := new(testpb.Response)
				if err := stream.RecvMsg(resp); err != nil || resp.GetText() != "2" {
					t.Errorf("received %v, %v", resp, err)
				}
				if err := stream.RecvMsg(resp); err != io.EOF {
					t.Errorf("the stream ended with %v", err)
				}
				s.wantStarts(t, c.starts...)
			})
		})
	}
}

// TestLongIdleApplication: a hedge is due again after at most an eighth of the time that a stream
// lasts.
func TestLongIdleApplication(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		const idle = time.Hour
		s := scripted(never, step{})
		stream := open(t.Context(), t, start(t, hauberk.ServerStream, s, all(hedge.Config{Delay: ms})))
		request(t, stream)
		<-time.After(idle)
		if err := stream.RecvMsg(new(testpb.Response)); err != nil {
			t.Fatal(err)
		}
		if at := s.starts[1]; at < idle || at > idle+idle/8 {
			t.Errorf("the hedge started after %v", at)
		}
		if err := stream.RecvMsg(new(testpb.Response)); err != io.EOF {
			t.Error(err)
		}
	})
}

// TestCommitted: after the first message, or the header if the application waits for it, the rest
// of a stream is that of its attempt, also if it takes long or fails.
func TestCommitted(t *testing.T) {
	for _, first := range []string{"message", "header"} {
		t.Run(first, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			synctest.Test(t, func(t *testing.T) {
				s := scripted(never)
				s.Handle = func(ctx context.Context, stream hauberktest.Stream) error {
					if n, _ := s.start(ctx); n != 2 {
						<-ctx.Done()
						s.mu.Lock()
						defer s.mu.Unlock()
						s.ends = append(s.ends, ctx.Err())
						return ctx.Err()
					}
					if err := stream.SendHeader(metadata.Pairs("x-attempt", "2")); err != nil {
						return err
					}
					if first == "message" {
						if err := stream.Send(&testpb.Response{}); err != nil {
							return err
						}
					}
					<-time.After(time.Second)
					return status.Error(codes.Unavailable, "broken")
				}
				stream := open(t.Context(), t, start(t, hauberk.ServerStream, s, all(hedge.Config{MaxAttempts: 5})))
				request(t, stream)
				if first == "header" {
					if md, err := stream.Header(); err != nil || len(md.Get("x-attempt")) != 1 {
						t.Errorf("header %v, %v", md, err)
					}
				} else if err := stream.RecvMsg(new(testpb.Response)); err != nil {
					t.Error(err)
				}
				s.wantCancelled(t, 1)
				wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.Unavailable)
				s.wantStarts(t, 0, delay)
			})
		})
	}
}

// TestHeaderThenFailure: the header of an attempt that fails before the application waits for it
// does not end the call.
func TestHeaderThenFailure(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		s := scripted(step{})
		handle := s.Handle
		s.Handle = func(ctx context.Context, stream hauberktest.Stream) error {
			s.mu.Lock()
			first := len(s.starts) == 0
			s.mu.Unlock()
			if !first {
				return handle(ctx, stream)
			}
			s.start(ctx)
			if err := stream.SendHeader(metadata.Pairs("x-attempt", "1")); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "broken")
		}
		wantWinner(t, call(t, start(t, kind, s, all(hedge.Config{})), kind), "2")
	})
}

// TestEmptyStream: a stream without messages is a response.
func TestEmptyStream(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		s := scripted(never)
		s.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
			if n, _ := s.start(ctx); n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		out := call(t, start(t, hauberk.ServerStream, s, all(hedge.Config{})), hauberk.ServerStream)
		wantCode(t, out.Err, codes.OK)
		if len(out.Responses) > 0 {
			t.Errorf("received %v", out.Responses)
		}
		s.wantStarts(t, 0, delay)
	})
}

// TestAbandonedStream: an application that cancels a stream without reading it ends all attempts.
func TestAbandonedStream(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		s := scripted(never)
		ctx, cancel := context.WithCancel(t.Context())
		stream := open(ctx, t, start(t, hauberk.ServerStream, s, all(hedge.Config{NoDelay: true, MaxAttempts: 3})))
		request(t, stream)
		synctest.Wait()
		cancel()
		s.wantCancelled(t, 3)
	})
}
