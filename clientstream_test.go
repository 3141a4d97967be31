package hauberk_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// streams are the kinds that a client calls as a stream.
var streams = []hauberk.Kind{hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

func descOf(k hauberk.Kind) *grpc.StreamDesc {
	return &grpc.StreamDesc{ClientStreams: k.ClientStreams(), ServerStreams: k.ServerStreams()}
}

// ends is an interceptor that reports each outcome of next.
type ends chan error

func (e ends) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	err := next(ctx, call)
	// No interceptor runs on a goroutine of grpc-go, some of which must not be held up.
	if stack := debug.Stack(); call.Kind() != hauberk.Unary && bytes.Contains(stack, []byte("google.golang.org/grpc.")) {
		e <- errors.New("the chain runs on a goroutine of grpc-go:\n" + string(stack))
		return err
	}
	e <- err
	return err
}

// open opens a stream of a kind and sends one request.
func open(
	ctx context.Context, t *testing.T, env *hauberktest.Env, k hauberk.Kind, opts ...grpc.CallOption,
) grpc.ClientStream {
	t.Helper()
	stream, err := env.Conn.NewStream(ctx, descOf(k), hauberktest.FullMethod(k), opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&testpb.Request{Text: "hello"}); err != nil && err != io.EOF { // EOF: the server was faster
		t.Fatal(err)
	}
	return stream
}

// drain receives to the end and returns the error of the end.
func drain(stream grpc.ClientStream) error {
	for {
		if err := stream.RecvMsg(new(testpb.Response)); err != nil {
			return err
		}
	}
}

// wait blocks the handler until its call has ended.
func wait(ctx context.Context, _ hauberktest.Stream) error {
	<-ctx.Done()
	return ctx.Err()
}

// headerThenWait sends the header, so that the client knows that the handler
// runs, and blocks.
func headerThenWait(ctx context.Context, s hauberktest.Stream) error {
	if err := s.SendHeader(metadata.Pairs("x-running", "yes")); err != nil {
		return err
	}
	return wait(ctx, s)
}

// closing is the status of a stream whose ClientConn is closed.
const closing = codes.Canceled

// TestClientStreamEnds has a case for each way that a client's stream can end:
// next returns once, with the status, and no goroutine stays.
func TestClientStreamEnds(t *testing.T) {
	type world struct {
		env    *hauberktest.Env
		ctx    context.Context
		cancel context.CancelFunc
		kind   hauberk.Kind
	}
	cases := []struct {
		name   string
		kinds  []hauberk.Kind
		handle func(ctx context.Context, s hauberktest.Stream) error
		app    func(t *testing.T, w world)
		want   codes.Code
	}{
		{
			name: "read to EOF", kinds: []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi},
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				_ = stream.CloseSend()
				if err := drain(stream); err != io.EOF {
					t.Error(err)
				}
				if err := stream.RecvMsg(new(testpb.Response)); err != io.EOF {
					t.Errorf("after the end: %v", err)
				}
			},
		},
		{
			name: "error status", kinds: streams, want: codes.Aborted,
			handle: func(context.Context, hauberktest.Stream) error { return status.Error(codes.Aborted, "no") },
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				for range 2 {
					wantCode(t, drain(stream), codes.Aborted)
				}
			},
		},
		{
			name: "the one response", kinds: []hauberk.Kind{hauberk.ClientStream},
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				_ = stream.CloseSend()
				resp := new(testpb.Response)
				if err := stream.RecvMsg(resp); err != nil || resp.GetText() != "echo:hello" {
					t.Error(resp, err)
				}
			},
		},
		{
			name: "header only, then the end", kinds: []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi},
			handle: func(_ context.Context, s hauberktest.Stream) error {
				return s.SendHeader(metadata.Pairs("x-only", "header"))
			},
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				header, err := stream.Header()
				if err != nil || len(header.Get("x-only")) != 1 {
					t.Error(header, err)
				}
				if err := drain(stream); err != io.EOF {
					t.Error(err)
				}
			},
		},
		{
			name: "no header and no message", kinds: []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi},
			handle: func(context.Context, hauberktest.Stream) error { return nil },
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				if _, err := stream.Header(); err != nil {
					t.Error(err)
				}
				if err := drain(stream); err != io.EOF {
					t.Error(err)
				}
			},
		},
		{
			name: "cancel", kinds: streams, handle: headerThenWait, want: codes.Canceled,
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				if _, err := stream.Header(); err != nil {
					t.Error(err)
				}
				w.cancel()
				wantCode(t, drain(stream), codes.Canceled)
			},
		},
		{
			name: "deadline", kinds: streams, handle: headerThenWait, want: codes.DeadlineExceeded,
			app: func(t *testing.T, w world) {
				ctx, cancel := context.WithTimeout(w.ctx, 20*time.Millisecond)
				defer cancel()
				stream, err := w.env.Conn.NewStream(ctx, descOf(w.kind), hauberktest.FullMethod(w.kind))
				if err == nil {
					if err = stream.SendMsg(&testpb.Request{}); err == nil || err == io.EOF {
						err = drain(stream)
					}
				}
				wantCode(t, err, codes.DeadlineExceeded)
			},
		},
		{
			name: "connection lost", kinds: streams, handle: headerThenWait, want: codes.Unavailable,
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				if _, err := stream.Header(); err != nil {
					t.Error(err)
				}
				w.env.Server.Stop()
				wantCode(t, drain(stream), codes.Unavailable)
			},
		},
		{
			name: "the server ends early while the client sends", kinds: []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi},
			handle: func(context.Context, hauberktest.Stream) error { return status.Error(codes.OutOfRange, "enough") },
			want:   codes.OutOfRange,
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				var err error
				for err == nil {
					err = stream.SendMsg(&testpb.Request{Payload: make([]byte, 1<<10)})
				}
				if err != io.EOF {
					t.Errorf("SendMsg: %v, want io.EOF", err)
				}
				wantCode(t, drain(stream), codes.OutOfRange)
			},
		},
		{
			name: "abandoned and then cancelled", kinds: streams, handle: headerThenWait, want: codes.Canceled,
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				if _, err := stream.Header(); err != nil {
					t.Error(err)
				}
				w.cancel()
			},
		},
		{
			name: "abandoned and its ClientConn closed", kinds: streams, handle: headerThenWait, want: closing,
			app: func(t *testing.T, w world) {
				stream := open(w.ctx, t, w.env, w.kind)
				if _, err := stream.Header(); err != nil {
					t.Error(err)
				}
				_ = w.env.Client.Close()
			},
		},
		{
			name: "never received from, cancelled", kinds: streams, handle: wait, want: codes.Canceled,
			app: func(t *testing.T, w world) {
				open(w.ctx, t, w.env, w.kind)
				w.cancel()
			},
		},
		{
			name: "never received from, its ClientConn closed", kinds: streams, handle: wait, want: closing,
			app: func(t *testing.T, w world) {
				open(w.ctx, t, w.env, w.kind)
				_ = w.env.Client.Close()
			},
		},
		{
			name: "a send that fails here", kinds: streams, handle: headerThenWait, want: codes.ResourceExhausted,
			app: func(t *testing.T, w world) {
				stream, err := w.env.Conn.NewStream(w.ctx, descOf(w.kind), hauberktest.FullMethod(w.kind), grpc.MaxCallSendMsgSize(10))
				if err != nil {
					t.Fatal(err)
				}
				wantCode(t, stream.SendMsg(&testpb.Request{Payload: make([]byte, 100)}), codes.ResourceExhausted)
				wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.ResourceExhausted)
			},
		},
		{
			name: "an open that fails", kinds: streams, want: codes.Canceled,
			app: func(t *testing.T, w world) {
				w.cancel()
				stream, err := w.env.Conn.NewStream(w.ctx, descOf(w.kind), hauberktest.FullMethod(w.kind))
				if err == nil {
					err = stream.SendMsg(&testpb.Request{})
				}
				wantCode(t, err, codes.Canceled)
			},
		},
		{
			name: "illegal metadata", kinds: streams, want: codes.Internal,
			app: func(t *testing.T, w world) {
				ctx := metadata.NewOutgoingContext(w.ctx, metadata.MD{"X Bad": {"v"}})
				stream, err := w.env.Conn.NewStream(ctx, descOf(w.kind), hauberktest.FullMethod(w.kind))
				if err == nil {
					err = stream.SendMsg(&testpb.Request{})
				}
				wantCode(t, err, codes.Internal)
			},
		},
	}
	for _, c := range cases {
		for _, kind := range c.kinds {
			t.Run(c.name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				outcomes := make(ends, 2)
				env := hauberktest.Start(t, hauberktest.Setup{
					Backend: &hauberktest.Backend{Handle: c.handle},
					Client:  hauberk.Must(hauberk.New(outcomes)),
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c.app(t, world{env, ctx, cancel, kind})
				got, want := <-outcomes, c.want
				if strings.Contains(c.name, "ClientConn closed") && status.Code(got) == codes.Unavailable {
					want = codes.Unavailable // of the connection, if that was faster; either is what RecvMsg gets from grpc-go
				}
				wantCode(t, got, want)
				if len(outcomes) > 0 {
					t.Error("next returned twice")
				}
			})
		}
	}
}

// TestClientStreamStaysOpen shows what is not an end.
func TestClientStreamStaysOpen(t *testing.T) {
	for _, kind := range streams {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			outcomes := make(ends, 1)
			served := make(chan struct{})
			env := hauberktest.Start(t, hauberktest.Setup{
				Backend: &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					defer close(served)
					return s.Send(&testpb.Response{Text: "early"})
				}},
				Client: hauberk.Must(hauberk.New(outcomes)),
			})
			stream := open(t.Context(), t, env, kind)
			_ = stream.CloseSend()
			<-served
			env.Server.GracefulStop()
			if len(outcomes) > 0 {
				t.Error("the call ended while the application had not read it")
			}
			resp := new(testpb.Response)
			if err := stream.RecvMsg(resp); err != nil || resp.GetText() != "early" {
				t.Error(resp, err)
			}
			if kind.ServerStreams() {
				if err := drain(stream); err != io.EOF {
					t.Error(err)
				}
			}
			wantCode(t, <-outcomes, codes.OK)
		})
	}
}

// TestClientStreamSendBesideReceive runs both directions at once with hooks.
func TestClientStreamSendBesideReceive(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const n = 500
	hooks := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
		call.OnReceive(func(any) (bool, error) { return true, nil })
		err := next(ctx, call)
		if call.Sent() != n || call.Received() != n {
			t.Errorf("sent %d, received %d, want %d", call.Sent(), call.Received(), n)
		}
		return err
	})
	env := hauberktest.Start(t, hauberktest.Setup{Client: hauberk.Must(hauberk.New(hooks)), Server: hauberk.Must(hauberk.New(hooks))})
	stream, err := env.Conn.NewStream(t.Context(), descOf(hauberk.Bidi), hauberktest.FullMethod(hauberk.Bidi))
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for range n {
			if err := stream.SendMsg(&testpb.Request{Text: "x"}); err != nil {
				t.Error(err)
			}
		}
		_ = stream.CloseSend()
	})
	if err := drain(stream); err != io.EOF {
		t.Error(err)
	}
	sending.Wait()
	env.Server.GracefulStop()
}

// TestClientStreamBeforeTheRequest uses a stream of a single-request method
// before its request, as proxies may.
func TestClientStreamBeforeTheRequest(t *testing.T) {
	hauberktest.CheckLeaks(t)
	env := hauberktest.Start(t, hauberktest.Setup{Client: idleChain(1)})
	kind := hauberk.ServerStream

	t.Run("received from first", func(t *testing.T) {
		stream, err := env.Conn.NewStream(t.Context(), descOf(kind), hauberktest.FullMethod(kind))
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() { got <- stream.RecvMsg(new(testpb.Response)) }()
		if err := stream.SendMsg(&testpb.Request{}); err != nil {
			t.Error(err)
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
		if err := drain(stream); err != io.EOF {
			t.Error(err)
		}
	})
	t.Run("received from and cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := env.Conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind))
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() { got <- stream.RecvMsg(new(testpb.Response)) }()
		cancel()
		wantCode(t, <-got, codes.Canceled)
	})
	t.Run("closed without a request", func(t *testing.T) {
		stream, err := env.Conn.NewStream(t.Context(), descOf(kind), hauberktest.FullMethod(kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
		wantCode(t, drain(stream), codes.Internal) // as grpc-go: cardinality violation
	})
	t.Run("two requests", func(t *testing.T) {
		stream := open(t.Context(), t, env, kind)
		wantCode(t, stream.SendMsg(&testpb.Request{}), codes.Internal)
		if err := drain(stream); err != io.EOF { // the server may have been faster
			wantCode(t, err, codes.Internal)
		}
	})
	t.Run("never used", func(t *testing.T) {
		if _, err := env.Conn.NewStream(t.Context(), descOf(kind), hauberktest.FullMethod(kind)); err != nil {
			t.Error(err)
		}
	})
}

// TestClientStreamSendAfterClose is the misuse that grpc-go answers with INTERNAL.
func TestClientStreamSendAfterClose(t *testing.T) {
	hauberktest.CheckLeaks(t)
	env := hauberktest.Start(t, hauberktest.Setup{Client: idleChain(1)})
	stream := open(t.Context(), t, env, hauberk.Bidi)
	for range 2 {
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
	}
	wantCode(t, stream.SendMsg(&testpb.Request{}), codes.Internal)
	if err := drain(stream); err != io.EOF { // the server may have been faster
		wantCode(t, err, codes.Internal)
	}
}

// TestClientOptionsAreServedOnce gives the application's Header, Trailer, Peer and
// OnFinish options to a call that takes two attempts.
func TestClientOptionsAreServedOnce(t *testing.T) {
	again := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := next(ctx, call); err != nil {
			return next(ctx, call)
		}
		return nil
	})
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			backend := failing(1)
			env := hauberktest.Start(t, hauberktest.Setup{Backend: backend.Backend, Client: hauberk.Must(hauberk.New(again)), Kind: kind})
			var header, trailer metadata.MD
			finished := make(chan error, 4)
			out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{Text: "x"}},
				grpc.Header(&header), grpc.Trailer(&trailer), grpc.OnFinish(func(err error) { finished <- err }))
			wantCode(t, out.Err, codes.OK)
			wantCode(t, <-finished, codes.OK)
			if len(finished) > 0 {
				t.Error("OnFinish ran more than once")
			}
			equal(t, "header", header.Get("x-attempt"), []string{"2"})
			equal(t, "trailer", trailer.Get("x-attempt"), []string{"2"})
		})
	}
}

// TestClientConnRealSocket runs the main job over TCP through DialOptions.
func TestClientConnRealSocket(t *testing.T) {
	hauberktest.CheckLeaks(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var j journal
	srv := hauberk.Must(hauberk.New(j.tag("server"))).NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	conn, err := grpc.NewClient(lis.Addr().String(),
		hauberk.Must(hauberk.New(j.tag("client"))).DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := testpb.NewTestServiceClient(conn)
	stream, err := client.ServerStream(t.Context(), &testpb.Request{Text: "x", Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	srv.GracefulStop()
	equal(t, "journal", j.all(), []string{"client in", "server in", "server out OK", "client out OK"})
}

// TestLaterWrapIsOutside is contract C2.
func TestLaterWrapIsOutside(t *testing.T) {
	for _, kind := range append(streams, hauberk.Unary) {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var j journal
			env := hauberktest.Start(t, hauberktest.Setup{Client: hauberk.Must(hauberk.New(j.tag("first"))), Kind: kind})
			env.Conn = hauberk.Must(hauberk.New(j.tag("second"))).ClientConn(env.Conn)
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			equal(t, "journal", j.all(), []string{"second in", "first in", "first out OK", "second out OK"})
		})
	}
}

// TestMetadataOfACallThatAHookEnds reads a trailer that may be on its way just
// then: the race detector sees whether it is let be.
func TestMetadataOfACallThatAHookEnds(t *testing.T) {
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		s.SetTrailer(metadata.Pairs("k", "v"))
		return hauberktest.Echo(ctx, s)
	}}
	for _, kind := range allKinds {
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.CaptureMetadata()
			call.OnReceive(func(any) (bool, error) { return false, errDown })
			err := next(ctx, call)
			_, _, _ = call.Header(), call.Trailer(), call.Peer()
			return err
		})
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, interceptor)
		for range 100 {
			out := env.Call(t.Context(), "x")
			wantCode(t, out.Err, codes.Unavailable)
		}
	}
}
