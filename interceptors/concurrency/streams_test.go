package concurrency_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// lockstep is a bidirectional stream of which the test sends and receives messages one by one.
type lockstep struct {
	*testing.T

	grpc.BidiStreamingClient[testpb.Request, testpb.Response]
}

func openBidi(ctx context.Context, t *testing.T, env *hauberktest.Env) lockstep {
	t.Helper()
	stream, err := testpb.NewTestServiceClient(env.Conn).Bidi(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return lockstep{t, stream}
}

// exchange sends a request and receives the response.
func (s lockstep) exchange() error {
	s.Helper()
	if err := s.Send(&testpb.Request{Text: "a"}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err := s.Recv()
	return err
}

// A stream for messages holds a slot only while a request has no response; one for life holds it as long as it lasts.
func TestStreamsBetweenMessages(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for _, streams := range []concurrency.Streams{concurrency.ForLife, concurrency.ForMessages} {
			hauberktest.CheckLeaks(t)
			x := concurrency.New(concurrency.Config{Limit: 2, Streams: streams})
			env := hauberktest.Case{Side: side, Kind: hauberk.Bidi}.Start(t, x)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			first, second := openBidi(ctx, t, env), openBidi(ctx, t, env)
			for range 3 {
				wantCode(t, first.exchange(), codes.OK)
				wantCode(t, second.exchange(), codes.OK)
			}
			want := 0
			if streams == concurrency.ForLife {
				want = 2
			}
			until(t, "the streams hold their slots", func() bool { return x.Snapshot().Running == want })
			third, err := testpb.NewTestServiceClient(env.Conn).Bidi(ctx)
			if err == nil {
				err = lockstep{t, third}.exchange()
			}
			if streams == concurrency.ForLife {
				wantRejected(t, err, codes.ResourceExhausted, concurrency.ReasonFull)
			} else {
				wantCode(t, err, codes.OK)
			}
			cancel()
			wantIdle(t, x)
		}
	}
}

// A message that gets no slot ends its stream, with a decision; one that gets a slot by waiting goes on.
func TestMessagesWithoutSlot(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for _, waiting := range []int{0, 1} {
			hauberktest.CheckLeaks(t)
			backend := &hauberktest.Backend{}
			hold, held := make(chan struct{}), make(chan struct{}, 9)
			backend.Handle = func(ctx context.Context, s hauberktest.Stream) error {
				for {
					req, err := s.Recv()
					if errors.Is(err, io.EOF) {
						return nil
					}
					if err != nil {
						return err
					}
					if req.GetText() == "hold" {
						held <- struct{}{}
						<-hold
					}
					if err := s.Send(&testpb.Response{}); err != nil {
						return err
					}
				}
			}
			decisions := make(chan []hauberk.Decision, 3)
			observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				decisions <- call.Decisions().Recorded()
				return err
			})
			x := concurrency.New(concurrency.Config{
				Limit: 1, Streams: concurrency.ForMessages, MaxWaiting: waiting, MaxWait: time.Duration(waiting) * time.Minute,
			})
			env := hauberktest.Case{Side: side, Kind: hauberk.Bidi}.StartWith(t, backend, observe, x)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			first, second := openBidi(ctx, t, env), openBidi(ctx, t, env)
			wantCode(t, second.exchange(), codes.OK)
			if err := first.Send(&testpb.Request{Text: "hold"}); err != nil {
				t.Fatal(err)
			}
			<-held
			outcome := make(chan error, 1)
			go func() { outcome <- second.exchange() }()
			if waiting == 0 {
				wantRejected(t, <-outcome, codes.ResourceExhausted, concurrency.ReasonFull)
				if d := <-decisions; len(d) != 1 || d[0].Reason != concurrency.ReasonFull || d[0].Interceptor != "concurrency" {
					t.Errorf("decisions %+v", d)
				}
				close(hold)
				if _, err := first.Recv(); err != nil {
					t.Error(err)
				}
			} else {
				until(t, "a message waits", func() bool { return x.Snapshot().Waiting == 1 })
				close(hold)
				if _, err := first.Recv(); err != nil { // a client frees the slot here
					t.Error(err)
				}
				wantCode(t, <-outcome, codes.OK)
			}
			cancel()
			wantIdle(t, x)
		}
	}
}

// Messages that wait for a slot while the other direction frees one have no data race (with -race): a stream may be
// sent to and received from on two goroutines.
func TestStreamsTwoGoroutines(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			ctx, cancel := context.WithCancel(ctx)
			var sending sync.WaitGroup
			sending.Go(func() {
				for ctx.Err() == nil && s.Send(&testpb.Response{}) == nil {
					runtime.Gosched()
				}
			})
			defer sending.Wait()
			defer cancel()
			for {
				switch _, err := s.Recv(); {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					return err
				}
			}
		}}
		x := concurrency.New(concurrency.Config{
			Limit: 1, Streams: concurrency.ForMessages, MaxWaiting: 10, MaxWait: time.Minute,
		})
		env := hauberktest.Case{Side: side, Kind: hauberk.Bidi}.StartWith(t, backend, x)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var calls sync.WaitGroup
		for range 4 {
			stream := openBidi(ctx, t, env)
			calls.Go(func() {
				for range 100 {
					if stream.Send(&testpb.Request{}) != nil {
						break
					}
				}
				_ = stream.CloseSend()
			})
			calls.Go(func() {
				for {
					if _, err := stream.Recv(); err != nil {
						if !errors.Is(err, io.EOF) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		calls.Wait()
		cancel()
		wantIdle(t, x)
	}
}

// A message that waits for a slot delays neither the end of its stream, nor does it replace the status of the server.
func TestWaitingMessageEndsWithItsStream(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := true
				backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
					if first { // it lasts, and holds the slot
						first = false
						<-ctx.Done()
						return ctx.Err()
					}
					<-time.After(time.Second)
					return status.Error(codes.FailedPrecondition, "over")
				}}
				x := concurrency.New(concurrency.Config{
					Limit: 1, Streams: concurrency.ForMessages, MaxWaiting: 1, MaxWait: time.Minute,
				})
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, x)
				ctx, cancel := context.WithCancel(t.Context())
				desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: kind == hauberk.Bidi}
				open := func() grpc.ClientStream {
					stream, err := env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
					if err != nil {
						t.Fatal(err)
					}
					return stream
				}
				holder := open()
				wantCode(t, holder.SendMsg(&testpb.Request{}), codes.OK)
				synctest.Wait()
				waits, began, sent := open(), time.Now(), make(chan error, 1)
				go func() { sent <- waits.SendMsg(&testpb.Request{}) }()
				wantCode(t, waits.RecvMsg(new(testpb.Response)), codes.FailedPrecondition)
				if err := <-sent; !errors.Is(err, io.EOF) {
					t.Errorf("SendMsg returned %v", err)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the end took %v", took)
				}
				cancel()
				_ = holder.RecvMsg(new(testpb.Response))
				wantIdle(t, x)
			})
		})
	}
}
