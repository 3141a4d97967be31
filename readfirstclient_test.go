package hauberk_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// clientKinds runs a test for a client of each kind.
func clientKinds(t *testing.T, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	for _, c := range hauberktest.Cases() {
		if c.Side == hauberk.ClientSide {
			t.Run(c.Kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				test(t, c)
			})
		}
	}
}

// On a client ReadFirst returns the first message before there is an attempt, also in later attempts,
// and the server receives all messages.
func TestReadFirstOnClient(t *testing.T) {
	clientKinds(t, func(t *testing.T, c hauberktest.Case) {
		again := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.Replayable(1 << 10)
			_ = next(ctx, call)
			return next(ctx, call)
		})
		fails := true
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if fails {
				fails = false
				return status.Error(codes.Unavailable, "once")
			}
			return hauberktest.Echo(ctx, s)
		}}
		out := c.StartWith(t, backend, readFirst(t, "a"), again, readFirst(t, "a")).Call(t.Context(), "a", "b", "c")
		want := "echo:a echo:b echo:c"
		switch c.Kind {
		case hauberk.Unary, hauberk.ServerStream:
			want = "echo:a"
		case hauberk.ClientStream:
			want = "echo:a,b,c"
		default:
		}
		if got := strings.Join(out.Texts(), " "); got != want || out.Err != nil {
			t.Errorf("got %q, %v; want %q", got, out.Err, want)
		}
	})
}

// A rejection by the first message reaches the application as the status of the call, and the server sees
// nothing of it.
func TestReadFirstOnClientRejects(t *testing.T) {
	clientKinds(t, func(t *testing.T, c hauberktest.Case) {
		backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
			t.Error("the server was called")
			return nil
		}}
		reject := hauberk.Func(func(ctx context.Context, call *hauberk.Call, _ hauberk.Next) error {
			msg, err := call.ReadFirst(ctx)
			if err != nil {
				return err
			}
			return status.Error(codes.PermissionDenied, msg.(*testpb.Request).GetText())
		})
		out := c.StartWith(t, backend, reject).Call(t.Context(), "no", "more")
		if status.Code(out.Err) != codes.PermissionDenied || !strings.Contains(out.Err.Error(), "no") {
			t.Errorf("got %v, want PERMISSION_DENIED", out.Err)
		}
	})
}

// An interceptor inside an adapter reads the first message as well.
func TestReadFirstInsideAdapter(t *testing.T) {
	clientKinds(t, func(t *testing.T, c hauberktest.Case) {
		adapter := hauberk.FromClient(
			func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				return invoker(ctx, method, req, reply, cc, opts...)
			},
			func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				return streamer(ctx, desc, cc, method, opts...)
			})
		out := c.Start(t, readFirst(t, "a"), adapter, readFirst(t, "a")).Call(t.Context(), "a", "b")
		if got := strings.Join(out.Texts(), " "); !strings.HasPrefix(got, "echo:a") || strings.Contains(got, "b") != c.Kind.ClientStreams() {
			t.Errorf("got %q, %v", got, out.Err)
		}
	})
}

// bidi opens a bidirectional stream through an interceptor.
func bidi(ctx context.Context, t *testing.T, x hauberk.Interceptor) testpb.TestService_BidiClient {
	t.Helper()
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Bidi}
	stream, err := testpb.NewTestServiceClient(c.Start(t, x).Conn).Bidi(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// A stream of a client that closes its side without a message has no first request, and goes on.
func TestReadFirstOnClientWithout(t *testing.T) {
	hauberktest.CheckLeaks(t)
	stream := bidi(t.Context(), t, hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			for range 2 {
				if _, err := call.ReadFirst(ctx); !errors.Is(err, io.EOF) {
					t.Errorf("ReadFirst returns %v, want io.EOF", err)
				}
			}
			return next(ctx, call)
		}))
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v, want io.EOF", err)
	}
}

// ReadFirst waits no longer than its context, and a stream whose interceptor goes on without the message
// loses none.
func TestReadFirstOnClientWaits(t *testing.T) {
	hauberktest.CheckLeaks(t)
	went := make(chan struct{})
	stream := bidi(t.Context(), t, hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			if _, err := call.ReadFirst(short); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("ReadFirst returns %v, want DEADLINE_EXCEEDED", err)
			}
			close(went)
			return next(ctx, call)
		}))
	<-went
	for _, text := range []string{"a", "b"} {
		if err := stream.Send(&testpb.Request{Text: text}); err != nil {
			t.Fatal(err)
		}
		if resp, err := stream.Recv(); err != nil || resp.GetText() != "echo:"+text {
			t.Errorf("got %v, %v", resp, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v, want io.EOF", err)
	}
}

// An application that waits before it sends waits until its context is done, in each operation.
func TestReadFirstOnClientInVain(t *testing.T) {
	for name, wait := range map[string]func(stream grpc.ClientStream) error{
		"Recv":   func(stream grpc.ClientStream) error { return stream.RecvMsg(new(testpb.Response)) },
		"Header": func(stream grpc.ClientStream) error { _, err := stream.Header(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			ctx, cancel := context.WithCancel(t.Context())
			read := make(chan error, 1)
			stream := bidi(ctx, t, hauberk.Func(
				func(ctx context.Context, call *hauberk.Call, _ hauberk.Next) error {
					_, err := call.ReadFirst(ctx)
					read <- err
					return err
				}))
			waited := make(chan error, 1)
			go func() { waited <- wait(stream) }()
			cancel()
			if err := <-read; status.Code(err) != codes.Canceled {
				t.Errorf("ReadFirst returns %v, want CANCELLED", err)
			}
			if err := <-waited; name == "Recv" && status.Code(err) != codes.Canceled {
				t.Errorf("Recv returns %v, want CANCELLED", err)
			}
			if err := stream.SendMsg(new(testpb.Request)); !errors.Is(err, io.EOF) {
				t.Errorf("SendMsg returns %v, want io.EOF", err)
			}
		})
	}
}

// A message that the application changes after SendMsg is read as it was.
func TestReadFirstOnClientCopies(t *testing.T) {
	hauberktest.CheckLeaks(t)
	goOn := make(chan struct{})
	stream := bidi(t.Context(), t, hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if _, err := call.ReadFirst(ctx); err != nil {
				return err
			}
			err := next(ctx, call)
			<-goOn
			if msg, err := call.ReadFirst(ctx); err != nil || msg.(*testpb.Request).GetText() != "a" {
				t.Errorf("ReadFirst returns %v, %v", msg, err)
			}
			return err
		}))
	req := &testpb.Request{Text: "a"}
	if err := stream.Send(req); err != nil {
		t.Fatal(err)
	}
	req.Text = "b"
	close(goOn)
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	for {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
}

// After the first attempt was opened without it, ReadFirst fails.
func TestReadFirstOnClientLate(t *testing.T) {
	hauberktest.CheckLeaks(t)
	stream := bidi(t.Context(), t, hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			if _, err := call.ReadFirst(ctx); status.Code(err) != codes.Internal {
				t.Errorf("ReadFirst returns %v, want INTERNAL", err)
			}
			return err
		}))
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v", err)
	}
}
