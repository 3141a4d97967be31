package hauberk_test

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file are about what an interceptor of grpc-go on a server does when
// its handler, or an inner interceptor, has returned.

// fromServerStream is an adapter around an interceptor of server streams.
func fromServerStream(f grpc.StreamServerInterceptor) hauberk.Interceptor {
	return hauberk.FromServer(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			return h(ctx, req)
		}, f)
}

// TestNoServerHookStartsAfterNext: a goroutine that an interceptor of grpc-go leaves
// behind starts no hook of an outer interceptor whose next has returned.
func TestNoServerHookStartsAfterNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left atomic.Bool
		outside := make(chan struct{})
		outermost := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			close(outside)
			synctest.Wait() // for what the goroutine does
			return err
		})
		hooks := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			defer left.Store(true)
			call.OnReceive(func(any) (bool, error) {
				if left.Load() {
					t.Error("a hook starts after its next has returned")
				}
				return true, nil
			})
			return next(ctx, call)
		})
		received := make(chan error, 1)
		leaves := fromServerStream(func(_ any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
			go func() {
				<-outside
				received <- stream.RecvMsg(new(testpb.Request))
			}()
			return status.Error(codes.PermissionDenied, "no")
		})
		conn := hauberktest.Start(t, hauberktest.Setup{Server: hauberk.Must(hauberk.New(outermost, hooks, leaves))}).Conn
		stream := start(patient(t), t, conn, hauberk.Bidi)
		_ = stream.SendMsg(message("m"))
		wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.PermissionDenied)
		if err := <-received; err == nil {
			t.Error("the goroutine received a message past the hook")
		}
	})
}

// TestReceiveAfterTheHandler: an interceptor of grpc-go may receive what the client sent
// after its handler has returned, as with bare grpc-go.
func TestReceiveAfterTheHandler(t *testing.T) {
	var got []string
	var end error
	drain := func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		err := h(srv, stream)
		for {
			req := new(testpb.Request)
			if end = stream.RecvMsg(req); end != nil {
				return err
			}
			got = append(got, req.GetText())
		}
	}
	b := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		_, _ = s.Recv()
		return s.Send(response("ok"))
	}}
	through := func(interceptors ...hauberk.Interceptor) grpc.ClientConnInterface {
		return hauberktest.Start(t, hauberktest.Setup{Backend: b, Server: hauberk.Must(hauberk.New(interceptors...))}).Conn
	}
	for _, w := range []world{
		{"bare", bareServer(t, b, []grpc.ServerOption{grpc.StreamInterceptor(drain)})},
		{"alone", through(fromServerStream(drain))},
		{"inside hooks", through(passThrough(), fromServerStream(drain))},
		{"around hooks", through(fromServerStream(drain), passThrough())},
	} {
		got = nil
		stream := start(patient(t), t, w.conn, hauberk.Bidi)
		for _, text := range []string{"a", "b", "c"} {
			_ = stream.SendMsg(message(text))
		}
		_ = stream.CloseSend()
		for stream.RecvMsg(new(testpb.Response)) == nil {
			continue
		}
		if end != io.EOF || !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("%s: received %q, then %v", w.name, got, end)
		}
	}
}

// TestReplyReplacesAllResponses: Reply takes the place of what the handler has sent,
// also if that was more than the method's one response.
func TestReplyReplacesAllResponses(t *testing.T) {
	fallback := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = next(ctx, call)
		return call.Reply(response("fallback"))
	})
	b := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		_, _ = s.Send(response("1")), s.Send(response("2"))
		return status.Error(codes.Internal, "broken")
	}}
	stream := start(patient(t), t, hauberktest.Start(t, hauberktest.Setup{Backend: b, Server: hauberk.Must(hauberk.New(fallback))}).Conn, hauberk.ClientStream)
	_ = stream.CloseSend()
	resp := new(testpb.Response)
	if err := stream.RecvMsg(resp); err != nil || resp.GetText() != "fallback" {
		t.Errorf("received %q, %v", resp.GetText(), err)
	}
}

// TestNilResponseInAnAdapter: an interceptor of grpc-go gets the untyped nil of a
// handler as it is.
func TestNilResponseInAnAdapter(t *testing.T) {
	var seen []any
	record := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		resp, err := h(ctx, req)
		seen = append(seen, resp)
		return resp, err
	}
	desc := byHand()
	desc.Methods[0].Handler = func(srv any, ctx context.Context, dec func(any) error, own grpc.UnaryServerInterceptor) (any, error) {
		in := new(testpb.Request)
		if err := dec(in); err != nil {
			return nil, err
		}
		answer := func(context.Context, any) (any, error) { return nil, nil }
		if own == nil {
			return answer(ctx, in)
		}
		return own(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: methodByHand(hauberk.Unary)}, answer)
	}
	pass := func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		return h(srv, stream)
	}
	for _, opts := range [][]grpc.ServerOption{
		{grpc.UnaryInterceptor(record)}, hauberk.Must(hauberk.New(hauberk.FromServer(record, pass))).ServerOptions(),
	} {
		srv := grpc.NewServer(opts...)
		srv.RegisterService(desc, nil)
		conn := listenAndServe(t, srv, listen(t))
		if err := conn.Invoke(patient(t), methodByHand(hauberk.Unary), message("a"), new(testpb.Response)); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(seen, []any{nil, nil}) {
		t.Errorf("bare grpc-go and the adapter got %v", seen)
	}
}

// TestLateResponse: a goroutine of a handler, or of an interceptor of grpc-go, that sends the one response while
// the handler returns shares nothing with the chain. Its response counts only if it was sent before.
func TestLateResponse(t *testing.T) {
	fallback := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := next(ctx, call); err == nil {
			return nil
		}
		return call.Reply(response("fallback"))
	})
	send := func(send func() error) {
		starts := make(chan struct{})
		go func() {
			close(starts)
			_ = send()
		}()
		<-starts
		for range rand.IntN(20) {
			runtime.Gosched()
		}
	}
	late := fromServerStream(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
		if err := h(srv, stream); err == nil {
			return nil
		}
		send(func() error { return stream.SendMsg(response("late")) })
		return status.Error(codes.DeadlineExceeded, "the worker is slow")
	})
	for name, interceptors := range map[string][]hauberk.Interceptor{
		"empty": nil, "hooks": {passThrough()}, "fallback": {fallback}, "fallback around hooks": {fallback, passThrough()},
		"adapter": {fallback, fromServerStream(hauberk.PassStreamServer)}, "late adapter": {fallback, late},
	} {
		t.Run(name, func(t *testing.T) {
			b := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				send(func() error { return s.Send(response("late")) })
				return status.Error(codes.DeadlineExceeded, "the worker is slow")
			}}
			conn := hauberktest.Start(t, hauberktest.Setup{Backend: b, Server: hauberk.Must(hauberk.New(interceptors...))}).Conn
			for range 300 {
				text, err := exchange(t, conn, hauberk.ClientStream)
				if err == nil && text != "fallback" || err != nil && status.Code(err) != codes.DeadlineExceeded {
					t.Fatalf("received %q, %v", text, err)
				}
			}
		})
	}
}
