package gateway

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// interceptor is the function of a hauberk.Func.
type interceptor = func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error

func behind(f interceptor) bubble {
	return bubble{interceptors: []hauberk.Interceptor{hauberk.Func(f)}}
}

// outcomeOf calls the method of a kind with one request.
func outcomeOf(t *testing.T, b *bubble, kind hauberk.Kind) (texts []string, header metadata.MD, err error) {
	t.Helper()
	stream := open(t.Context(), t, b.through, kind)
	_ = stream.CloseSend()
	for {
		var resp testpb.Response
		if err = stream.RecvMsg(&resp); err != nil {
			break
		}
		texts = append(texts, resp.GetText())
		if !kind.ServerStreams() {
			break
		}
	}
	header, _ = stream.Header()
	if status.Code(err) == codes.Unknown {
		err = nil // io.EOF
	}
	return texts, header, err
}

func TestInterceptorsSeeTheCall(t *testing.T) {
	var seen string
	behind(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		seen = fmt.Sprintf("%s %s %s sent %d received %d %s",
			call.Side(), call.Kind(), call.Method().FullName(), call.Sent(), call.Received(), hauberk.StatusOf(err).Code())
		if call.Peer() == nil {
			t.Error("no peer")
		}
		return err
	}).eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		if _, _, err := outcomeOf(t, b, kind); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := "server bidi_stream " + hauberktest.FullMethod(kind) + " sent 1 received 1 OK"
		if seen != want {
			t.Errorf("the interceptor saw %q, want %q", seen, want)
		}
	})
}

func TestInterceptorsReject(t *testing.T) {
	called := false
	b := behind(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return &hauberk.Rejection{
			Code: codes.PermissionDenied, Reason: "NO", Message: "not you", Metadata: map[string]string{"k": "v"},
		}
	})
	b.backend.Handle = func(context.Context, hauberktest.Stream) error {
		called = true
		return nil
	}
	b.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		_, _, err := outcomeOf(t, b, kind)
		if status.Code(err) != codes.PermissionDenied || hauberk.Reason(err) != "NO" || called {
			t.Errorf("%v, reason %q, upstream called: %v", err, hauberk.Reason(err), called)
		}
	})
}

func TestInterceptorsReply(t *testing.T) {
	behind(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		return call.Reply(&testpb.Response{Text: "from the chain"})
	}).eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		if texts, _, err := outcomeOf(t, b, kind); err != nil || !slices.Equal(texts, []string{"from the chain"}) {
			t.Errorf("%q, %v", texts, err)
		}
	})
}

// A reply of an interceptor must be a protobuf message that can be encoded.
func TestInterceptorsReplyWithInvalidMessages(t *testing.T) {
	for want, reply := range map[string]any{
		"an interceptor sent a string; want a protobuf message": "text",
		"the reply of an interceptor cannot be encoded":         &testpb.Response{Text: "\xff"},
	} {
		behind(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			return call.Reply(reply)
		}).run(t, func(t *testing.T, b *bubble) {
			_, _, err := outcomeOf(t, b, hauberk.Bidi)
			if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want INTERNAL, %q", err, want)
			}
		})
	}
}

func TestReceiveIntoAnotherType(t *testing.T) {
	if err := new(call).RecvMsg(new(string)); status.Code(err) != codes.Internal {
		t.Error(err)
	}
}

func TestInterceptorsChangeMetadata(t *testing.T) {
	var got metadata.MD
	b := behind(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		md, _ := metadata.FromIncomingContext(ctx)
		md.Set("x-from", "chain")
		if err := call.SetHeader(metadata.Pairs("x-chain", "1")); err != nil {
			return err
		}
		return next(metadata.NewIncomingContext(ctx, md), call)
	})
	b.backend.Handle = func(ctx context.Context, s hauberktest.Stream) error {
		got, _ = metadata.FromIncomingContext(ctx)
		_ = s.SetHeader(metadata.Pairs("x-upstream", "2"))
		return s.Send(&testpb.Response{})
	}
	b.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		_, header, err := outcomeOf(t, b, kind)
		if err != nil || header.Get("x-chain") == nil || header.Get("x-upstream") == nil {
			t.Errorf("header %v, %v", header, err)
		}
		if !slices.Equal(got.Get("x-from"), []string{"chain"}) {
			t.Errorf("the upstream got %v", got)
		}
	})
}

// An interceptor may replace the upstream's status, including its details.
func TestInterceptorsChangeTheStatus(t *testing.T) {
	upstream, _ := status.New(codes.NotFound, "no").WithDetails(&testpb.Request{Text: "detail"})
	tests := []struct {
		name string
		make func(err error) error
		want *status.Status
	}{
		{"none", func(err error) error { return err }, upstream},
		{"wrapped", func(err error) error { return fmt.Errorf("for the log: %w", err) }, upstream},
		{"another", func(error) error { return status.Error(codes.Aborted, "other") }, status.New(codes.Aborted, "other")},
		{"without details", func(error) error { return status.Error(codes.NotFound, "no") }, status.New(codes.NotFound, "no")},
		{"plain", func(error) error { return fmt.Errorf("secret") }, status.New(codes.Unknown, "unknown error")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := behind(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				return tt.make(next(ctx, call))
			})
			b.backend.Handle = func(context.Context, hauberktest.Stream) error { return upstream.Err() }
			b.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
				stream := open(t.Context(), t, b.through, kind)
				err := stream.RecvMsg(new(testpb.Response))
				if got := status.Convert(err); !proto.Equal(got.Proto(), tt.want.Proto()) {
					t.Errorf("got %v, want %v", got.Proto(), tt.want.Proto())
				}
			})
		})
	}
}

// Hooks can read, drop and repeat messages.
func TestHooks(t *testing.T) {
	var seen []string
	behind(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(func(msg any) (bool, error) {
			var req testpb.Request
			if err := proto.Unmarshal(msg.(*Message).Data.Materialize(), &req); err != nil {
				return false, err
			}
			seen = append(seen, req.GetText())
			return req.GetText() != "drop", nil
		})
		call.OnSend(func(msg any, emit func(any) error) error {
			if err := emit(msg); err != nil {
				return err
			}
			return emit(msg)
		})
		return next(ctx, call)
	}).run(t, func(t *testing.T, b *bubble) {
		seen = nil
		stream := open(t.Context(), t, b.through, hauberk.Bidi)
		for _, text := range []string{"drop", "last"} {
			if err := stream.SendMsg(&testpb.Request{Text: text}); err != nil {
				t.Fatal(err)
			}
		}
		_ = stream.CloseSend()
		var got []string
		for {
			var resp testpb.Response
			if err := stream.RecvMsg(&resp); err != nil {
				break
			}
			got = append(got, resp.GetText())
		}
		want := []string{"echo:first", "echo:first", "echo:last", "echo:last"}
		if !slices.Equal(got, want) || !slices.Equal(seen, []string{"first", "drop", "last"}) {
			t.Errorf("got %q, hooks saw %q", got, seen)
		}
	})
}

// guard is a minimal recovery interceptor.
type guard struct{ hauberk.Func }

func (guard) Recovered(context.Context, *hauberk.Call, any, []byte) error {
	return status.Error(codes.Internal, "recovered")
}

// If a hook fails or panics, its call ends and no other.
func TestHooksThatFail(t *testing.T) {
	receive := func(f func() error) interceptor {
		return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(any) (bool, error) { return true, f() })
			return next(ctx, call)
		}
	}
	send := func(f func() error) interceptor {
		return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(msg any, emit func(any) error) error {
				if err := f(); err != nil {
					return err
				}
				return emit(msg)
			})
			return next(ctx, call)
		}
	}
	fail := func() error { return status.Error(codes.DataLoss, "failed") }
	tests := []struct {
		name        string
		interceptor interceptor
		want        codes.Code
	}{
		{"receive hook fails", receive(fail), codes.DataLoss},
		{"receive hook panics", receive(func() error { panic("secret") }), codes.Internal},
		{"send hook fails", send(fail), codes.DataLoss},
		{"send hook panics", send(func() error { panic("secret") }), codes.Internal},
	}
	pass := guard{func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) }}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := bubble{interceptors: []hauberk.Interceptor{pass, hauberk.Func(tt.interceptor)}}
			b.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
				stream := open(t.Context(), t, b.through, kind)
				_ = stream.CloseSend()
				err := stream.RecvMsg(new(testpb.Response))
				if status.Code(err) != tt.want || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v, want %s", err, tt.want)
				}
			})
		})
	}
}

// Interceptors can recover a panic of a receive hook, although it runs on another goroutine.
func TestInterceptorsRecoverPanicsOfReceiveHooks(t *testing.T) {
	tests := []struct {
		name string
		hook func()
		want string
	}{
		{"panic", func() { panic("value") }, "recovered value"},
		{"Goexit", runtime.Goexit, "gateway: a hook ended its goroutine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			behind(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) (err error) {
				defer func() {
					if v := recover(); v != nil {
						err = status.Errorf(codes.Internal, "recovered %v", v)
					}
				}()
				call.OnReceive(func(any) (bool, error) {
					tt.hook()
					return true, nil
				})
				return next(ctx, call)
			}).eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
				stream := open(t.Context(), t, b.through, kind)
				_ = stream.CloseSend()
				err := stream.RecvMsg(new(testpb.Response))
				if got := status.Convert(err); got.Code() != codes.Internal || got.Message() != tt.want {
					t.Errorf("%v, want INTERNAL %q", err, tt.want)
				}
			})
		})
	}
}

// A method becomes known when the upstream has answered it with a message, with OK, or with a code that only services
// make.
func TestMethodsBecomeKnown(t *testing.T) {
	for _, answer := range []codes.Code{codes.OK, codes.NotFound} {
		t.Run(answer.String(), func(t *testing.T) { methodsBecomeKnown(t, answer) })
	}
}

func methodsBecomeKnown(t *testing.T, answer codes.Code) {
	t.Helper()
	var known []bool
	b := behind(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		known = append(known, call.Method().Known())
		return next(ctx, call)
	})
	code := codes.OK
	b.backend.Handle = func(_ context.Context, s hauberktest.Stream) error {
		if code != codes.OK {
			return status.Error(code, "no")
		}
		return s.Send(&testpb.Response{})
	}
	b.run(t, func(t *testing.T, b *bubble) {
		known, code = nil, codes.PermissionDenied
		call := func() { _, _ = b.client().Unary(t.Context(), &testpb.Request{}) }
		call()
		code = answer
		call()
		call()
		for range 2 {
			e := exchange{method: "/made.up.Service/Method", requests: [][]byte{message("a")}}
			if got, err := e.on(t.Context(), b.through); err != nil || got.Code != codes.Unimplemented {
				t.Fatal(got, err)
			}
		}
		if diff := cmp.Diff([]bool{false, false, true, false, false}, known); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestKnownMethodsAreBounded(t *testing.T) {
	var m methods
	for i := range 2 * maxMethods {
		m.learn(fmt.Sprintf("/service/method%d", i))
	}
	n := len(*m.names.Load())
	if n != maxMethods || !m.known("/service/method0") || m.known("/service/method1999") {
		t.Errorf("%d methods are known, want %d", n, maxMethods)
	}
}

// Methods of the configuration are known from the first call on, in addition to those that are learned.
func TestConfiguredMethods(t *testing.T) {
	var m methods
	m.set([]string{"/a.B/C", "/a.B/D"})
	for i := range maxMethods {
		m.learn(fmt.Sprintf("/service/method%d", i))
	}
	if !m.known("/a.B/C") || !m.known("/a.B/D") || !m.known(fmt.Sprintf("/service/method%d", maxMethods-1)) {
		t.Errorf("%d methods are known", len(*m.names.Load()))
	}
	for name, ok := range map[string]bool{"/a.B/C": true, "a.B/C": false, "": false, "/": false, "/a": false, "//C": false} {
		if err := (&Gateway{}).SetMethods(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	m.set([]string{"/a.B/D", "/a.B/E"})
	if m.known("/a.B/C") || !m.known("/a.B/D") || !m.known("/a.B/E") || !m.known("/service/method0") {
		t.Errorf("after others were set, %d methods are known", len(*m.names.Load()))
	}
}
