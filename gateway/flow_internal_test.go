package gateway

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
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
)

// windows is an upper bound for the messages that the transports buffer for a blocked
// stream, in the flow-control windows of both hops and in the connections.
const windows = 64

// Flow control stops the upstream while the client does not read.
func TestResponsesWaitForTheClient(t *testing.T) {
	var sent atomic.Int32
	backend := hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for range 300 {
			if err := s.Send(&testpb.Response{Payload: make([]byte, 1<<16)}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	}}
	bubble{backend: backend}.run(t, func(t *testing.T, b *bubble) {
		sent.Store(0)
		stream, err := b.client().ServerStream(t.Context(), &testpb.Request{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := sent.Load(); n > windows {
			t.Errorf("%d messages of 64 KiB were sent to a client that does not read", n)
		}
		received := 0
		for _, err = stream.Recv(); err == nil; _, err = stream.Recv() {
			received++
		}
		if !errors.Is(err, io.EOF) || received != 300 {
			t.Errorf("%d messages, then %v; want 300 and EOF", received, err)
		}
	})
}

// Flow control stops the client while the upstream does not read.
func TestRequestsWaitForTheUpstream(t *testing.T) {
	bubble{}.run(t, func(t *testing.T, b *bubble) {
		read := make(chan struct{})
		b.backend.Handle = func(_ context.Context, s hauberktest.Stream) error {
			<-read
			n := 0
			for ; ; n++ {
				if _, err := s.Recv(); err != nil {
					break
				}
			}
			return s.Send(&testpb.Response{Index: int32(n)})
		}
		stream, err := b.client().ClientStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var sent atomic.Int32
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 300 {
				_ = stream.Send(&testpb.Request{Payload: make([]byte, 1<<16)})
				sent.Add(1)
			}
		}()
		synctest.Wait()
		if n := sent.Load(); n > windows {
			t.Errorf("%d messages of 64 KiB were accepted for an upstream that does not read", n)
		}
		close(read)
		<-done
		resp, err := stream.CloseAndRecv()
		if err != nil || resp.GetIndex() != 300 {
			t.Errorf("%v, %v; want 300 messages at the upstream", resp, err)
		}
	})
}

// The gateway does not delay messages: each arrives before the next is sent.
func TestLockStep(t *testing.T) {
	bubble{}.run(t, func(t *testing.T, b *bubble) {
		stream, err := b.client().Bidi(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			if err := stream.Send(&testpb.Request{Text: "x"}); err != nil {
				t.Fatal(err)
			}
			if resp, err := stream.Recv(); err != nil || resp.GetText() != "echo:x" {
				t.Fatal(resp, err)
			}
		}
		_ = stream.CloseSend()
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

func TestHeaderComesBeforeTheFirstMessage(t *testing.T) {
	bubble{}.run(t, func(t *testing.T, b *bubble) {
		release := make(chan struct{})
		b.backend.Handle = func(_ context.Context, s hauberktest.Stream) error {
			_ = s.SendHeader(metadata.Pairs("x-h", "now"))
			<-release
			return s.Send(&testpb.Response{})
		}
		stream, err := b.client().ServerStream(t.Context(), &testpb.Request{})
		if err != nil {
			t.Fatal(err)
		}
		header, err := stream.Header()
		close(release)
		if got := header.Get("x-h"); err != nil || len(got) != 1 {
			t.Errorf("header %v, %v", header, err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Error(err)
		}
	})
}

func TestHalfCloseReachesTheUpstream(t *testing.T) {
	backend := hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for {
			if _, err := s.Recv(); errors.Is(err, io.EOF) {
				return s.Send(&testpb.Response{Text: "after the half-close"})
			}
		}
	}}
	bubble{backend: backend}.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		stream := open(t.Context(), t, b.through, kind)
		_ = stream.CloseSend()
		var resp testpb.Response
		if err := stream.RecvMsg(&resp); err != nil || resp.GetText() != "after the half-close" {
			t.Error(&resp, err)
		}
	})
}

// The upstream may end a call while the client is sending.
func TestUpstreamEndsEarly(t *testing.T) {
	for _, want := range []codes.Code{codes.OK, codes.Aborted} {
		t.Run(want.String(), func(t *testing.T) {
			backend := hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				_, _ = s.Recv()
				if want != codes.OK {
					return status.Error(want, "enough")
				}
				return s.Send(&testpb.Response{Text: "enough"})
			}}
			bubble{backend: backend}.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
				stream := open(t.Context(), t, b.through, kind)
				err := stream.RecvMsg(new(testpb.Response))
				if status.Code(err) != want {
					t.Errorf("%v, want %v", err, want)
				}
				synctest.Wait()
				if err := stream.SendMsg(new(testpb.Request)); kind == hauberk.Bidi && want == codes.Aborted && !errors.Is(err, io.EOF) {
					t.Errorf("a send after the end: %v, want EOF", err)
				}
			})
		})
	}
}

// waits returns a backend whose calls wait for their context. They report their start and
// their context's error.
func waits() (backend hauberktest.Backend, begun chan struct{}, ended chan error) {
	begun, ended = make(chan struct{}, 200), make(chan error, 200)
	backend.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return status.FromContextError(ctx.Err()).Err()
	}
	return backend, begun, ended
}

func TestCancelReachesTheUpstream(t *testing.T) {
	bubble{}.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		backend, begun, ended := waits()
		b.backend.Handle = backend.Handle
		ctx, cancel := context.WithCancel(t.Context())
		stream := open(ctx, t, b.through, kind)
		<-begun
		cancel()
		if err := stream.RecvMsg(new(testpb.Response)); status.Code(err) != codes.Canceled {
			t.Errorf("the client got %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the upstream's context ended with %v", err)
		}
	})
}

func TestLostClientCancelsTheUpstreamCall(t *testing.T) {
	bubble{}.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		backend, begun, ended := waits()
		b.backend.Handle = backend.Handle
		open(t.Context(), t, b.through, kind)
		<-begun
		_ = b.through.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the upstream's context ended with %v", err)
		}
	})
}

func TestLostUpstream(t *testing.T) {
	bubble{}.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		backend, begun, _ := waits()
		b.backend.Handle = backend.Handle
		stream := open(t.Context(), t, b.through, kind)
		<-begun
		b.server.Stop()
		if err := stream.RecvMsg(new(testpb.Response)); status.Code(err) != codes.Unavailable {
			t.Errorf("the client got %v, want UNAVAILABLE", err)
		}
	})
}

// Calls end with UNAVAILABLE while the upstream is unavailable.
func TestUnreachableUpstream(t *testing.T) {
	var outcome error
	behind(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		outcome = next(ctx, call)
		return outcome
	}).run(t, func(t *testing.T, b *bubble) {
		b.server.Stop()
		_, err := b.client().Unary(t.Context(), &testpb.Request{})
		if got := status.Convert(err); got.Code() != codes.Unavailable || got.Message() != "the upstream is unavailable" {
			t.Errorf("the client got %v", err)
		}
		if !strings.Contains(outcome.Error(), "connection error") || status.Code(errors.Unwrap(outcome)) != codes.Unavailable {
			t.Errorf("the chain got %v, want the cause", outcome)
		}
		// The gateway reconnects within a second, even after a long outage.
		time.Sleep(time.Hour) //nolint:forbidigo // synctest: the clock is fake
		b.serve()
		time.Sleep(time.Second) //nolint:forbidigo // synctest: the clock is fake
		if _, err := b.client().Unary(t.Context(), &testpb.Request{}); err != nil {
			t.Errorf("after its return: %v", err)
		}
	})
}

// The deadline of a call also holds while the gateway connects to the upstream.
func TestDeadlineBeforeTheConnection(t *testing.T) {
	bubble{}.run(t, func(t *testing.T, b *bubble) {
		b.server.Stop()
		b.behind.listen() // accepts no connection
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.client().Unary(ctx, &testpb.Request{})
		if took := time.Since(start); status.Code(err) != codes.DeadlineExceeded || took != 990*time.Millisecond {
			t.Errorf("%v after %v, want DEADLINE_EXCEEDED after 990ms", err, took)
		}
	})
}

// The upstream receives the client's deadline, and the client receives DEADLINE_EXCEEDED
// in time.
func TestDeadline(t *testing.T) {
	tests := []struct{ given, want time.Duration }{
		{10 * time.Second, 10*time.Second - maxEarly},
		{time.Second, time.Second - maxEarly},
		{50 * time.Millisecond, 45 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.given.String(), func(t *testing.T) {
			bubble{}.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
				var deadline time.Time
				b.backend.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
					deadline, _ = ctx.Deadline()
					<-ctx.Done()
					return status.FromContextError(ctx.Err()).Err()
				}
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), tt.given)
				defer cancel()
				stream := open(ctx, t, b.through, kind)
				err := stream.RecvMsg(new(testpb.Response))
				if took := time.Since(start); status.Code(err) != codes.DeadlineExceeded || took != tt.want {
					t.Errorf("%v after %v, want DEADLINE_EXCEEDED after %v", err, took, tt.want)
				}
				synctest.Wait()
				if left := deadline.Sub(start); left > tt.given || left < tt.given*8/10 {
					t.Errorf("the upstream was given %v, the gateway %v", left, tt.given)
				}
			})
		})
	}
}

const maxEarly = 10 * time.Millisecond

func TestNoDeadline(t *testing.T) {
	var has bool
	backend := hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		_, has = ctx.Deadline()
		return s.Send(&testpb.Response{})
	}}
	bubble{backend: backend}.run(t, func(t *testing.T, b *bubble) {
		if _, err := b.client().Unary(context.Background(), &testpb.Request{}); err != nil || has {
			t.Errorf("%v, deadline at the upstream: %v", err, has)
		}
	})
}

// A call ends in time even if the client does not read.
func TestDeadlineOfABlockedCall(t *testing.T) {
	var outcome error
	var at time.Time
	watch := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		outcome = next(ctx, call)
		at = time.Now()
		return outcome
	})
	backend := hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for {
			if err := s.Send(&testpb.Response{Payload: make([]byte, 1<<16)}); err != nil {
				return err
			}
		}
	}}
	bubble{backend: backend, interceptors: []hauberk.Interceptor{watch}}.run(t, func(t *testing.T, b *bubble) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := b.client().ServerStream(ctx, &testpb.Request{})
		if err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		synctest.Wait()
		if took := at.Sub(start); status.Code(outcome) != codes.DeadlineExceeded || took != 990*time.Millisecond {
			t.Errorf("the chain saw %v after %v, want DEADLINE_EXCEEDED after 990ms", outcome, took)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the client got %v", err)
		}
	})
}

// One connection has as many concurrent calls as configured; further calls wait in the client.
func TestConcurrentStreams(t *testing.T) {
	const streams = 20
	bubble{srv: []grpc.ServerOption{grpc.MaxConcurrentStreams(1000)}, streams: streams}.run(t, func(t *testing.T, b *bubble) {
		backend, begun, _ := waits()
		b.backend.Handle = backend.Handle
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := b.client().Bidi(ctx); err != nil { // the client now knows the limit
			t.Fatal(err)
		}
		<-begun
		ended := make(chan struct{})
		for range streams {
			go func() {
				_, _ = b.client().Unary(ctx, &testpb.Request{})
				ended <- struct{}{}
			}()
		}
		synctest.Wait()
		if got := len(begun) + 1; got != streams {
			t.Errorf("%d calls run at the upstream, want %d", got, streams)
		}
		cancel()
		for range streams {
			<-ended
		}
	})
}
