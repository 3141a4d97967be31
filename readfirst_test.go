package hauberk_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// serverKinds runs a test for a server of each kind.
func serverKinds(t *testing.T, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	for _, c := range hauberktest.Cases() {
		if c.Side == hauberk.ServerSide {
			t.Run(c.Kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				test(t, c)
			})
		}
	}
}

// readFirst reads the first request and passes its text on.
func readFirst(t *testing.T, want string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		for range 2 { // it is read once
			msg, err := call.ReadFirst(ctx)
			if err != nil {
				return err
			}
			if got := msg.(*testpb.Request).GetText(); got != want {
				t.Errorf("read %q, want %q", got, want)
			}
		}
		return next(ctx, call)
	})
}

// appendText adds a letter to each request. It drops those with the text "drop" of methods that
// stream requests.
func appendText(letter string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(func(msg any) (bool, error) {
			req := msg.(*testpb.Request)
			req.Text += letter
			return !strings.HasPrefix(req.GetText(), "drop"), nil
		})
		return next(ctx, call)
	})
}

// ReadFirst returns the first request as the outer hooks have made it. The inner hooks and the
// handler receive it, and those that follow, once.
func TestReadFirst(t *testing.T) {
	serverKinds(t, func(t *testing.T, c hauberktest.Case) {
		requests, first, want := []string{"1", "2", "3"}, "1a", "echo:1ab"
		if c.Kind.ClientStreams() {
			requests = append([]string{"drop"}, requests...)
		}
		env := c.Start(t, appendText("a"), readFirst(t, first), readFirst(t, first), appendText("b"), readFirst(t, "1ab"))
		out := env.Call(t.Context(), requests...)
		switch c.Kind { //nolint:exhaustive // the others have one request
		case hauberk.ClientStream:
			want = "echo:1ab,2ab,3ab"
		case hauberk.Bidi:
			want = "echo:1ab echo:2ab echo:3ab"
		}
		if got := strings.Join(out.Texts(), " "); got != want || out.Err != nil {
			t.Errorf("got %q and %v, want %q", got, out.Err, want)
		}
	})
}

// A first message that ReadFirst has returned is not dropped inside: the call ends, and the handler
// receives no other message as the first. Outside of ReadFirst messages may be dropped.
func TestReadFirstAndDrop(t *testing.T) {
	dropping := hauberk.FromServer(hauberk.PassUnaryServer, func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return handler(srv, dropsFirst{stream})
	})
	read := func() hauberk.Interceptor {
		return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if _, err := call.ReadFirst(ctx); err != nil {
				return err
			}
			return next(ctx, call)
		})
	}
	for name, c := range map[string]struct {
		chain []hauberk.Interceptor
		want  codes.Code
	}{
		"a hook":            {[]hauberk.Interceptor{read(), appendText("a")}, codes.InvalidArgument},
		"an inner hook":     {[]hauberk.Interceptor{read(), hauberk.Func(idle), appendText("a")}, codes.InvalidArgument},
		"between two":       {[]hauberk.Interceptor{read(), appendText("a"), read()}, codes.InvalidArgument},
		"an adapter":        {[]hauberk.Interceptor{read(), dropping}, codes.InvalidArgument},
		"a hook outside":    {[]hauberk.Interceptor{appendText("a"), read()}, codes.OK},
		"an adapter around": {[]hauberk.Interceptor{dropping, read()}, codes.OK},
		"no ReadFirst":      {[]hauberk.Interceptor{appendText("a")}, codes.OK},
	} {
		for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
			t.Run(name+" "+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				received := ""
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					for {
						req, err := s.Recv()
						if errors.Is(err, io.EOF) {
							break
						}
						if err != nil { // a handler that does not care
							return s.Send(&testpb.Response{})
						}
						received += req.GetText() + " "
					}
					return s.Send(&testpb.Response{})
				}}
				out := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, c.chain...).Call(t.Context(), "drop", "victim")
				if status.Code(out.Err) != c.want || c.want != codes.OK && (received != "" || hauberk.Reason(out.Err) != hauberk.ReasonFirstDropped) {
					t.Errorf("the call ended with %v, and the handler received %q", out.Err, received)
				}
				if c.want == codes.OK && !strings.HasPrefix(received, "victim") {
					t.Errorf("the handler received %q", received)
				}
			})
		}
	}
}

// dropsFirst is the stream of an adapted interceptor that drops messages.
type dropsFirst struct{ grpc.ServerStream }

func (s dropsFirst) RecvMsg(msg any) error {
	for {
		err := s.ServerStream.RecvMsg(msg)
		if err != nil || msg.(*testpb.Request).GetText() != "drop" {
			return err
		}
	}
}

// A stream whose client sends nothing has no first request, for the handler neither.
func TestReadFirstOfNothing(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			read := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				for range 2 {
					if msg, err := call.ReadFirst(ctx); msg != nil || !errors.Is(err, io.EOF) {
						t.Errorf("read %v, %v; want io.EOF", msg, err)
					}
				}
				return next(ctx, call)
			})
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				if _, err := s.Recv(); !errors.Is(err, io.EOF) {
					t.Errorf("the handler received %v, want io.EOF", err)
				}
				return s.Send(&testpb.Response{Text: "none"})
			}}
			env := hauberktest.Case{Kind: kind}.StartWith(t, backend, read)
			stream, err := env.Client.NewStream(t.Context(),
				&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, hauberktest.FullMethod(kind))
			if err != nil {
				t.Fatal(err)
			}
			resp := new(testpb.Response)
			if err := errors.Join(stream.CloseSend(), stream.RecvMsg(resp)); err != nil || resp.GetText() != "none" {
				t.Errorf("got %q, %v", resp.GetText(), err)
			}
		})
	}
}

// In shadow ReadFirst does not make the call wait: a handler can send before it receives. The
// interceptor decides when the first message arrives, and its hooks see that message and others.
func TestReadFirstInShadow(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		for name, c := range map[string]struct {
			requests  []string
			rejects   bool
			wantNext  int32
			wantHooks string
		}{
			"rejected":   {[]string{"bad", "2"}, true, 0, ""},
			"admitted":   {[]string{"good", "2"}, false, 1, "good 2 "},
			"a hook":     {[]string{"good", "bad"}, true, 1, "good bad "},
			"no message": {nil, false, 0, ""},
		} {
			t.Run(name+" "+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var nexts atomic.Int32
				hooks := ""
				rejection := hauberk.Reject(codes.PermissionDenied, "NO", "no")
				ended := make(chan []hauberk.Decision, 1)
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					err := next(ctx, call)
					ended <- call.Decisions().All()
					return err
				})
				judge := func(msg any) error {
					if msg.(*testpb.Request).GetText() == "bad" {
						return rejection
					}
					return nil
				}
				shadow := hauberk.Shadow(hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					msg, err := call.ReadFirst(ctx)
					if err == nil {
						err = judge(msg)
					}
					if err != nil {
						return err
					}
					call.OnReceive(func(msg any) (bool, error) {
						hooks += msg.(*testpb.Request).GetText() + " "
						return true, judge(msg)
					})
					nexts.Add(1)
					return next(ctx, call)
				}), hauberk.Declaration{Name: "judge", Decides: true}))
				received := 0
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					if kind == hauberk.Bidi {
						if err := s.Send(&testpb.Response{Text: "hello"}); err != nil {
							return err
						}
					}
					for ; ; received++ {
						if _, err := s.Recv(); err != nil {
							break
						}
					}
					return s.Send(&testpb.Response{Text: "bye"})
				}}
				env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, outer, shadow)
				stream, err := env.Client.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, hauberktest.FullMethod(kind))
				if err != nil {
					t.Fatal(err)
				}
				resp := new(testpb.Response)
				if kind == hauberk.Bidi {
					if err := stream.RecvMsg(resp); err != nil || resp.GetText() != "hello" {
						t.Fatalf("received %v, %v before a message was sent", resp, err)
					}
				}
				for _, text := range c.requests {
					if err := stream.SendMsg(&testpb.Request{Text: text}); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(stream.CloseSend(), stream.RecvMsg(resp)); err != nil || resp.GetText() != "bye" {
					t.Errorf("received %v, %v", resp, err)
				}
				decisions := <-ended
				want := hauberk.Allowed
				if c.rejects {
					want = hauberk.Rejected
				}
				judged := len(c.requests) > 0
				if (shadow.Rejections() == 1) != c.rejects || (len(decisions) == 1) != judged || judged && decisions[0].Verdict != want || nexts.Load() != c.wantNext || hooks != c.wantHooks || received != len(c.requests) {
					t.Errorf("%d rejections, decisions %+v, %d times next, the hooks saw %q, the handler received %d", shadow.Rejections(), decisions, nexts.Load(), hooks, received)
				}
			})
		}
	}
}

// In shadow ReadFirst reads the call's own request, except that of a stream on a client; after the
// handler has begun it fails.
func TestReadFirstElsewhere(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Side == hauberk.ServerSide {
			shadow := hauberk.Shadow(hauberk.Declare(readFirst(t, "hello"), hauberk.Declaration{Decides: true}))
			if out := c.Start(t, shadow).Call(t.Context()); strings.Join(out.Texts(), " ") != "echo:hello" {
				t.Errorf("got %q, %v", out.Texts(), out.Err)
			}
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				call := hauberk.FromContext(ctx)
				if _, err := call.ReadFirst(ctx); c.Kind.ClientStreams() && status.Code(err) != codes.Internal {
					t.Errorf("in the handler: %v, want INTERNAL", err)
				}
				return hauberktest.Echo(ctx, s)
			}}
			if out := c.StartWith(t, backend).Call(t.Context()); strings.Join(out.Texts(), " ") != "echo:hello" {
				t.Errorf("got %q, %v", out.Texts(), out.Err)
			}
			return
		}
		shadow := hauberk.Shadow(hauberk.Declare(hauberk.Func(
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if _, err := call.ReadFirst(ctx); c.Kind.ClientStreams() != (status.Code(err) == codes.Internal) {
					t.Errorf("in shadow on a client: %v", err)
				}
				return next(ctx, call)
			}), hauberk.Declaration{Decides: true}))
		if out := c.Start(t, shadow).Call(t.Context()); strings.Join(out.Texts(), " ") != "echo:hello" {
			t.Errorf("got %q, %v", out.Texts(), out.Err)
		}
	})
}
