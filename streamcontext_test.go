package hauberk_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file are about the context of a stream.

// isDone reports whether a context is done when nothing moves any more.
func isDone(ctx context.Context) bool {
	synctest.Wait()
	return ctx.Err() != nil
}

// TestContextOfAClientStream: as on bare grpc-go, the context of a client's stream has
// the peer, is done at the end of the stream, and has what grpc.PreparedMsg needs.
func TestContextOfAClientStream(t *testing.T) {
	bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
		goOn := make(chan struct{})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			<-goOn
			return hauberktest.Echo(ctx, s)
		}}
		all := worlds(t, backend)
		streams := make([]grpc.ClientStream, len(all))
		for i, w := range all {
			stream := start(context.WithValue(patient(t), valueKey{}, "value"), t, w.conn, kind)
			streams[i] = stream
			if isDone(stream.Context()) {
				t.Errorf("%s: the context is done", w.name)
			}
			if p, ok := peer.FromContext(stream.Context()); !ok || p.Addr == nil {
				t.Errorf("%s: the context has no peer", w.name)
			}
			if stream.Context().Value(valueKey{}) != "value" {
				t.Errorf("%s: the context has not the application's values", w.name)
			}
			prepared := new(grpc.PreparedMsg)
			if err := prepared.Encode(stream, message("prepared")); err != nil {
				t.Errorf("%s: PreparedMsg: %v", w.name, err)
			} else if err := stream.SendMsg(prepared); err != nil {
				t.Errorf("%s: SendMsg of a PreparedMsg: %v", w.name, err)
			}
			_ = stream.CloseSend()
		}
		close(goOn)
		for i, w := range all {
			resp := new(testpb.Response)
			if err := streams[i].RecvMsg(resp); err != nil || resp.GetText() != "echo:prepared" {
				t.Errorf("%s: %v, %v", w.name, resp, err)
			}
			if kind.ServerStreams() {
				if isDone(streams[i].Context()) {
					t.Errorf("%s: the context is done before the end", w.name)
				}
				_ = drain(streams[i])
			}
			if !isDone(streams[i].Context()) {
				t.Errorf("%s: the context is not done at the end", w.name)
			}
		}
	})
}

// TestContextIsDoneHoweverAStreamEnds: the context of a client's stream is done when
// the stream has failed, was cancelled, or was ended by an interceptor or a hook.
func TestContextIsDoneHoweverAStreamEnds(t *testing.T) {
	failed := func(context.Context, hauberktest.Stream) error { return status.Error(codes.Aborted, "no") }
	for name, c := range map[string]struct {
		handle      func(ctx context.Context, s hauberktest.Stream) error
		interceptor hauberk.Interceptor
		cancels     bool
	}{
		"failed":       {handle: failed, interceptor: hauberk.Func(idle)},
		"cancelled":    {handle: wait, interceptor: hauberk.Func(idle), cancels: true},
		"receive hook": {interceptor: receives(func(any) (bool, error) { return false, hookRejection() })},
		"reply": {handle: failed, interceptor: hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return call.Reply(response("fallback"))
		})},
		"reply without an attempt": {interceptor: hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			return call.Reply(response("fallback"))
		})},
		"reply to the request": {interceptor: hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if _, err := call.Read(ctx); err != nil && !call.Kind().ClientStreams() {
				return err
			}
			return call.Reply(response("fallback"))
		})},
		"retries used up": {handle: failing(100).Handle, interceptor: retry(3)},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				stream := start(ctx, t, behind(t, &hauberktest.Backend{Handle: c.handle}, c.interceptor), kind)
				if stream.Context() == nil {
					t.Error("the context is nil")
				}
				_ = stream.SendMsg(message("a"))
				_ = stream.CloseSend()
				if c.cancels {
					cancel()
				}
				for stream.RecvMsg(new(testpb.Response)) == nil && kind.ServerStreams() {
					continue
				}
				if !isDone(stream.Context()) {
					t.Error("the context is not done at the end")
				}
			})
		})
	}
}

// TestContextCommits: once the application has the context of a stream, no new attempt
// is made, as with grpc-go's own retries.
func TestContextCommits(t *testing.T) {
	for _, who := range []string{"grpc-go's own retries", "retry"} {
		t.Run(who, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				var calls atomic.Int64
				goOn := make(chan struct{})
				backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
					calls.Add(1)
					<-goOn
					return status.Error(codes.Unavailable, "restarting")
				}}
				var conn grpc.ClientConnInterface = bare(t, backend, grpc.WithDefaultServiceConfig(nativeRetry))
				if who == "retry" {
					conn = behind(t, backend, retry(3))
				}
				stream := start(patient(t), t, conn, kind)
				if err := stream.SendMsg(message("a")); err != nil {
					t.Error(err)
				}
				_ = stream.CloseSend()
				ctx := stream.Context()
				close(goOn)
				wantCode(t, drain(stream), codes.Unavailable)
				if calls.Load() != 1 {
					t.Errorf("%d attempts, want 1", calls.Load())
				}
				if !isDone(ctx) {
					t.Error("the context is not done at the end")
				}
			})
		})
	}
}

// TestPreparedMsgOnAServer: a handler sends messages that it has encoded with
// grpc.PreparedMsg and its stream.
func TestPreparedMsgOnAServer(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				if _, err := s.Recv(); err != nil {
					return err
				}
				stream, prepared := s.(grpc.ServerStream), new(grpc.PreparedMsg)
				if err := prepared.Encode(stream, response("prepared")); err != nil {
					return err
				}
				return stream.SendMsg(prepared)
			}}
			for _, interceptor := range []hauberk.Interceptor{hauberk.Func(idle), passThrough()} {
				out := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, interceptor).Call(patient(t))
				wantCode(t, out.Err, codes.OK)
				equal(t, "responses", out.Texts(), []string{"prepared"})
			}
		})
	}
}
