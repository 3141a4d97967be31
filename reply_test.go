package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

func response(text string) *testpb.Response { return &testpb.Response{Text: text} }

// TestReplies gives each kind of reply, with what the caller gets.
func TestReplies(t *testing.T) {
	type interceptor = func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error
	aborted := status.Error(codes.Aborted, "no")
	for _, tc := range []struct {
		name        string
		interceptor interceptor
		single      codes.Code // of methods with one response
		many        codes.Code
		texts       []string // where the code is OK
	}{
		{
			name:        "none",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error { return call.Reply() }, single: codes.Internal,
		},
		{
			name:        "none, ignored",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error { _ = call.Reply(); return nil },
			single:      codes.Internal,
		},
		{
			name: "three",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				return call.Reply(response("a"), response("b"), response("c"))
			},
			single: codes.Internal, texts: []string{"a", "b", "c"},
		},
		{
			name:        "nil message",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error { return call.Reply(nil) },
			single:      codes.Internal, many: codes.Internal,
		},
		{
			name: "nil message, ignored",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				_ = call.Reply(response("a"), nil)
				return nil
			},
			single: codes.Internal, many: codes.Internal,
		},
		{
			name: "nil message, then a good one",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				_ = call.Reply(nil)
				return call.Reply(response("a"))
			},
			texts: []string{"a"},
		},
		{
			name: "twice",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				return errors.Join(call.Reply(response("a")), call.Reply(response("b")))
			},
			texts: []string{"b"},
		},
		{
			name: "and an error",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				return errors.Join(call.Reply(response("a")), aborted)
			},
			single: codes.Aborted, many: codes.Aborted,
		},
		{
			name: "then next",
			interceptor: func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				return errors.Join(call.Reply(response("a")), next(ctx, call))
			},
			texts: []string{"echo:hello"},
		},
		{
			name: "not a message",
			interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				return call.Reply(&struct{ Text string }{"a"})
			},
			single: codes.Internal, many: codes.Internal,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				out := c.Start(t, hauberk.Func(tc.interceptor)).Call(patient(t))
				want := tc.many
				if !c.Kind.ServerStreams() {
					want = tc.single
				}
				wantCode(t, out.Err, want)
				if out.Err == nil {
					equal(t, "responses", out.Texts(), tc.texts)
				}
			})
		})
	}
}

// TestReplyOfAnotherType: Reply rejects a message of another type than the method's, in the
// name of the interceptor, so that outer interceptors get the outcome that the caller gets.
func TestReplyOfAnotherType(t *testing.T) {
	for name, msg := range map[string]any{"protobuf": &emptypb.Empty{}, "string": "hello"} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				hauberktest.CheckLeaks(t)
				var returned, outcome error
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					outcome = next(ctx, call)
					return outcome
				})
				wrong := hauberk.Named("cache", hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
					returned = call.Reply(msg)
					return nil
				}))
				err := c.Start(t, outer, wrong).Call(patient(t)).Err
				for _, err := range []error{err, returned, outcome} {
					wantInternal(t, err, "cache: Reply was given a ")
				}
			})
		})
	}
}

// TestReplyFollows replies when messages have gone out already.
func TestReplyFollows(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
			c := hauberktest.Case{Side: side, Kind: kind}
			t.Run(c.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					_ = next(ctx, call)
					return call.Reply(response("y"), response("z"))
				})
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					return errors.Join(s.Send(response("x")), status.Error(codes.Aborted, "no"))
				}}
				out := c.StartWith(t, backend, writes("outer"), interceptor).Call(patient(t))
				wantCode(t, out.Err, codes.OK)
				equal(t, "responses", out.Texts(), []string{"x outer", "y outer", "z outer"})
			})
		}
	}
}

// TestRead reads the request before next, twice, with hooks outside and
// inside: all interceptors and the handler see the same.
func TestRead(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			c := hauberktest.Case{Side: side, Kind: kind}
			t.Run(c.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var j journal
				env := c.StartWith(t, recorder(&j), reads(t, "q"), writes("outer"), reads(t, "q outer"), writes("inner"), reads(t, "q outer inner"))
				out := env.Call(patient(t), "q")
				wantCode(t, out.Err, codes.OK)
				equal(t, "requests", j.all(), []string{"q outer inner"})
			})
		}
	}
}

// reads is an interceptor that expects a text in the request.
func reads(t *testing.T, want string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		for range 2 {
			msg, err := call.Read(ctx)
			if err != nil {
				t.Error(err)
			} else if got := *textOf(msg); got != want {
				t.Errorf("read %q, want %q", got, want)
			}
		}
		err := next(ctx, call)
		if msg, late := call.Read(ctx); late != nil || msg == nil {
			t.Errorf("a request that was read is gone after next: %v", late)
		}
		return err
	})
}

// TestReadOfCarriers reads the request behind each carrier, and fails for methods
// that stream requests.
func TestReadOfCarriers(t *testing.T) {
	matrixOf(t, func(t *testing.T, c carrier, kind hauberk.Kind) {
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			msg, err := call.Read(ctx)
			if kind.ClientStreams() {
				wantCode(t, err, codes.Internal)
			} else if err != nil || *textOf(msg) != "a" {
				t.Errorf("Read: %v, %v", msg, err)
			}
			return next(ctx, call)
		})
		conn, _ := carry(t, c, hauberk.Must(hauberk.New(interceptor)), &hauberktest.Backend{})
		texts, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
		wantCode(t, err, codes.OK)
		equal(t, "responses", texts, wantTexts(kind, "a", "b"))
	})
}

// TestReadOnClients fails for methods that stream requests.
func TestReadOnClients(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		hauberktest.CheckLeaks(t)
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_, err := call.Read(ctx)
			wantCode(t, err, codes.Internal)
			return next(ctx, call)
		})
		wantCode(t, hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.Start(t, interceptor).Call(patient(t)).Err, codes.OK)
	}
}

// TestReadOfAnUnreadableRequest reads what is not protobuf, no message at all, or
// what never comes: the error stays, even if the interceptor goes on, and no handler runs.
func TestReadOfAnUnreadableRequest(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		for _, tc := range []struct {
			name string
			send func(stream grpc.ClientStream, cancel context.CancelFunc)
			want codes.Code
		}{
			{"malformed", func(stream grpc.ClientStream, _ context.CancelFunc) {
				_ = stream.SendMsg(&malformed)
				_ = stream.CloseSend()
			}, codes.Internal},
			{"no message", func(stream grpc.ClientStream, _ context.CancelFunc) { _ = stream.CloseSend() }, codes.Internal},
			{"held back", func(_ grpc.ClientStream, cancel context.CancelFunc) { cancel() }, codes.Canceled},
		} {
			t.Run(kind.String()+"/"+tc.name, func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				reading, handled := make(chan struct{}), false
				interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					close(reading)
					_, first := call.Read(ctx)
					wantCode(t, first, tc.want)
					_, second := call.Read(ctx)
					if !errors.Is(second, first) {
						t.Errorf("the second Read failed with %v, the first with %v", second, first)
					}
					err := next(ctx, call)
					wantCode(t, err, tc.want)
					if got := call.Received(); got != 0 {
						t.Errorf("received %d", got)
					}
					return err
				})
				env := hauberktest.Start(t, hauberktest.Setup{
					Kind: kind, Server: hauberk.Must(hauberk.New(interceptor)),
					Backend: &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
						handled = true
						return nil
					}},
				})
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				stream, err := env.Client.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind), grpc.ForceCodec(rawCodec{}))
				if err != nil {
					t.Fatal(err)
				}
				<-reading
				tc.send(stream, cancel)
				wantCode(t, stream.RecvMsg(new([]byte)), tc.want)
				env.Server.GracefulStop()
				if handled {
					t.Error("the handler ran")
				}
			})
		}
	}
}

// TestReadAfterNext reads a request that the handler has had.
func TestReadAfterNext(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				_, late := call.Read(ctx)
				wantCode(t, late, codes.Internal)
				return err
			})
			out := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.Start(t, interceptor).Call(patient(t))
			wantCode(t, out.Err, codes.OK)
			equal(t, "responses", out.Texts(), []string{"echo:hello"})
		})
	}
}

// TestReadThroughAFailingHook takes no notice of the error: the call fails all the
// same.
func TestReadThroughAFailingHook(t *testing.T) {
	for name, hook := range map[string]hauberk.ReceiveHook{
		"error":   func(any) (bool, error) { return false, status.Error(codes.Internal, "bad") },
		"dropped": func(any) (bool, error) { return false, nil },
	} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			for _, carrier := range carriers {
				t.Run(fmt.Sprintf("%s/%s/%s", name, kind, carrier.name), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					handled := false
					interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						for range 2 {
							_, err := call.Read(ctx)
							wantCode(t, err, codes.Internal)
						}
						return next(ctx, call)
					})
					backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
						handled = true
						return nil
					}}
					conn, srv := carry(t, carrier, hauberk.Must(hauberk.New(receives(hook), interceptor)), backend)
					_, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
					wantCode(t, err, codes.Internal)
					srv.GracefulStop()
					if handled {
						t.Error("the handler ran")
					}
				})
			}
		}
	}
}

// TestReplyAfterARetriedReply replies wrongly in one attempt and well in the next.
func TestReplyAfterARetriedReply(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			again := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.Replayable(1 << 10)
				wantCode(t, next(ctx, call), codes.Internal)
				return next(ctx, call)
			})
			attempts := 0
			replier := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				attempts++
				if attempts == 1 {
					_ = call.Reply(nil)
					return nil
				}
				return call.Reply(response("second"))
			})
			out := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.Start(t, again, replier).Call(patient(t))
			wantCode(t, out.Err, codes.OK)
			equal(t, "responses", out.Texts(), []string{"second"})
		})
	}
}

// TestRepliesOfAFailure: the messages that an interceptor replied with are not delivered
// if it returns an error, before or after next, even if an outer interceptor returns nil.
func TestRepliesOfAFailure(t *testing.T) {
	outer := map[string]hauberk.Func{
		"passes": idle,
		"hides": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if err := next(ctx, call); err != nil && !call.Kind().ServerStreams() {
				return err // nil without a response is another error
			}
			return nil
		},
	}
	for name, outer := range outer {
		for _, calls := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/calls next=", calls), func(t *testing.T) {
				hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
					failing := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						if calls {
							_ = next(ctx, call)
						}
						_ = call.Reply(response("secret"))
						return status.Error(codes.PermissionDenied, "no")
					})
					out := c.StartWith(t, &hauberktest.Backend{Handle: unanswered}, outer, failing).Call(patient(t))
					equal(t, "responses", out.Texts(), nil)
					want := codes.PermissionDenied
					if name == "hides" && c.Kind.ServerStreams() {
						want = codes.OK
					}
					wantCode(t, out.Err, want)
				})
			})
		}
	}
}

// unanswered is a handler that fails.
func unanswered(context.Context, hauberktest.Stream) error {
	return status.Error(codes.Aborted, "no answer")
}

// TestRepliesOfAnEarlierAttempt: the messages that an interceptor replied with are not
// delivered if another attempt follows, whether the reply was good or not.
func TestRepliesOfAnEarlierAttempt(t *testing.T) {
	for name, rejects := range map[string]bool{"another follows a good one": false, "an interceptor between rejects it": true} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				attempts := 0
				twice := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					call.Replayable(1 << 10)
					if err := next(ctx, call); (err != nil) != rejects {
						t.Errorf("the first attempt returned %v", err)
					}
					return next(ctx, call)
				})
				between := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if err := next(ctx, call); err != nil || !rejects || attempts > 1 {
						return err
					}
					return status.Error(codes.Unavailable, "stale")
				})
				cache := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					attempts++
					if attempts == 1 {
						return call.Reply(response("stale"))
					}
					return next(ctx, call)
				})
				out := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.Start(t, twice, between, cache).Call(patient(t), "a")
				wantCode(t, out.Err, codes.OK)
				equal(t, "responses", out.Texts(), []string{"echo:a"})
			})
		})
	}
}
