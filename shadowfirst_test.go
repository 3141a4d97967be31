package hauberk_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// firstJudge is an interceptor in dry run that reads the first message and then does something.
func firstJudge(then func(ctx context.Context)) *hauberk.Shadowed {
	return hauberk.Shadow(hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if _, err := call.ReadFirst(ctx); err != nil {
			return err
		}
		then(ctx)
		return next(ctx, call)
	}), hauberk.Declaration{Name: "judge", Decides: true}))
}

// answer receives until the client ends the stream, and answers.
func answer(s hauberktest.Stream) error {
	for {
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			return s.Send(response("ok"))
		} else if err != nil {
			return err
		}
	}
}

// uploaded makes a call with messages, and returns the outcome of its first response.
func uploaded(t *testing.T, backend *hauberktest.Backend, x hauberk.Interceptor, messages ...string) error {
	t.Helper()
	env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Server: hauberk.Must(hauberk.New(x))})
	stream := start(patient(t), t, env.Conn, hauberk.Bidi)
	for _, m := range messages {
		if err := stream.SendMsg(message(m)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	return stream.RecvMsg(new(testpb.Response))
}

// A handler may lock its thread, such as for another network namespace, and receive on a
// goroutine that has locked its own, behind an interceptor in dry run. One that never unlocks
// is in the test as well: its thread ends.
func TestShadowOfLockedThreads(t *testing.T) {
	unlocking := func(s hauberktest.Stream) error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return answer(s)
	}
	handlers := map[string]func(s hauberktest.Stream) error{
		"unlocks": unlocking,
		"never unlocks": func(s hauberktest.Stream) error {
			runtime.LockOSThread()
			return answer(s)
		},
		"receives on another goroutine": func(s hauberktest.Stream) error {
			done := make(chan error)
			go func() { done <- unlocking(s) }()
			return <-done
		},
	}
	for name, handle := range handlers {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error { return handle(s) }}
			for range 3 {
				if err := uploaded(t, backend, firstJudge(func(context.Context) {}), "a", "b"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A handler's status does not wait for an interceptor in dry run that still judges a message,
// which a goroutine received that the handler left behind.
func TestShadowDoesNotDelayTheStatus(t *testing.T) {
	hauberktest.CheckLeaks(t)
	judging := make(chan struct{})
	shadow := firstJudge(func(ctx context.Context) {
		close(judging)
		<-ctx.Done()
	})
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		go func() { _, _ = s.Recv() }()
		<-judging
		return status.Error(codes.NotFound, "no")
	}}
	wantCode(t, uploaded(t, backend, shadow, "a"), codes.NotFound)
}

// An interceptor in dry run that ends its goroutine is recorded as one that panics.
func TestShadowEndsItsGoroutine(t *testing.T) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error { return answer(s) }}
	shadow := firstJudge(func(context.Context) { runtime.Goexit() })
	if err := uploaded(t, backend, shadow, "a"); err != nil {
		t.Error(err)
	}
	if got := shadow.Rejections(); got != 1 {
		t.Errorf("%d rejections; want 1", got)
	}
}
