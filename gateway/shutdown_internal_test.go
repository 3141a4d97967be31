package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

func TestShutdownWaitsForCalls(t *testing.T) {
	bubble{}.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		begun, release := make(chan struct{}), make(chan struct{})
		b.backend.Handle = func(_ context.Context, s hauberktest.Stream) error {
			close(begun)
			<-release
			return s.Send(&testpb.Response{Text: "finished"})
		}
		stream := open(t.Context(), t, b.through, kind)
		<-begun
		ended := make(chan error)
		go func() { ended <- b.gateway.Shutdown(t.Context()) }()
		synctest.Wait()
		if _, err := b.client().Unary(t.Context(), &testpb.Request{}); status.Code(err) != codes.Unavailable {
			t.Errorf("a new call: %v, want UNAVAILABLE", err)
		}
		close(release)
		var resp testpb.Response
		if err := stream.RecvMsg(&resp); err != nil || resp.GetText() != "finished" {
			t.Errorf("the running call: %v, %v", &resp, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownCancelsCallsAtItsDeadline(t *testing.T) {
	bubble{}.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		backend, begun, _ := waits()
		b.backend.Handle = backend.Handle
		stream := open(context.Background(), t, b.through, kind)
		<-begun
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := b.gateway.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := stream.RecvMsg(new(testpb.Response)); status.Code(err) != codes.Unavailable {
			t.Errorf("the client got %v, want UNAVAILABLE", err)
		}
	})
}

func TestServeAfterStop(t *testing.T) {
	bubble{}.run(t, func(t *testing.T, b *bubble) {
		b.gateway.Stop()
		b.gateway.Stop()
		if err := b.gateway.Serve(b.front.Load()); err != nil {
			t.Error(err)
		}
		if err := b.gateway.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
