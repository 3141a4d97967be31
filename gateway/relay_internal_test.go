package gateway

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// handling returns the number of goroutines that run the handler.
func handling() int {
	stacks := make([]byte, 1<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte(").serveCall("))
}

// While the chain has no interceptor, calls have no goroutine. A chain that replaces it runs for the calls that follow,
// and knows the methods that calls before have shown.
func TestCallsWithoutInterceptorsHaveNoGoroutine(t *testing.T) {
	bubble{transport: TransportFrames}.runOnce(t, func(t *testing.T, b *bubble) {
		idle := func() {
			t.Helper()
			stream, err := b.client().Bidi(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&testpb.Request{Text: "x"}); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		idle()
		if n := handling(); n != 0 {
			t.Errorf("%d goroutines for a call without interceptors", n)
		}
		known := false
		observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			known = call.Method().Known()
			return next(ctx, call)
		})
		if err := b.live.Swap(hauberk.Must(hauberk.New(observe))); err != nil {
			t.Fatal(err)
		}
		idle()
		if n := handling(); n != 1 || !known {
			t.Errorf("%d goroutines, known: %t; want 1 for a method that is known", n, known)
		}
		if err := b.live.Swap(hauberk.Must(hauberk.New())); err != nil {
			t.Fatal(err)
		}
		idle()
		if n := handling(); n != 1 {
			t.Errorf("%d goroutines; want only that of the call before", n)
		}
	})
}

// The keys of Config.Strip do not reach the upstream, with a chain and without one.
func TestStripBothWays(t *testing.T) {
	var got metadata.MD
	backend := hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		got, _ = metadata.FromIncomingContext(ctx)
		return s.Send(&testpb.Response{})
	}}
	bubble{backend: backend, strip: []string{"x-user"}}.run(t, func(t *testing.T, b *bubble) {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user", "1", "x_user", "2", "x-user-bin", "3", "x-other", "4")
		if _, err := b.client().Unary(ctx, &testpb.Request{}); err != nil {
			t.Fatal(err)
		}
		if len(got["x-user"])+len(got["x_user"])+len(got["x-user-bin"]) > 0 || len(got["x-other"]) != 1 {
			t.Errorf("the upstream received %v", got)
		}
	})
}
