package hauberk_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file hold the rules of client streams, a to d: legs and replay
// buffers, errors of hooks, complete attempts, and senders that learn of the end.

// Rule a.

// TestNestedRetries: a replay buffer feeds only the attempts made under its own
// interceptor, so that hooks see each message once for each attempt that they are
// inside of.
func TestNestedRetries(t *testing.T) {
	bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
		up := &uploads{fail: func(call, n int, _ bool) error {
			if call < 3 && n == 2 {
				return status.Error(codes.Unavailable, "restarting")
			}
			return nil
		}}
		var outer, middle, inner journal
		see := func(j *journal) hauberk.Interceptor {
			return sends(func(msg any, emit func(any) error) error {
				j.add(*textOf(msg))
				return emit(msg)
			})
		}
		conn := behind(t, up.backend(), see(&outer), retry(2), see(&middle), retry(2), see(&inner))
		stream := start(patient(t), t, conn, kind)
		end := receiving(stream)
		send := func(text string) {
			if err := stream.SendMsg(message(text)); err != nil {
				t.Errorf("SendMsg(%s): %v", text, err)
			}
			synctest.Wait()
		}
		send("a")
		send("b") // attempts 1 and 2 fail after it
		send("c")
		_ = stream.CloseSend()
		if got := <-end; got.err != nil || got.text != "3 stored" {
			t.Errorf("RecvMsg: %+v", got)
		}
		for call, want := range [][]string{{"a", "b"}, {"a", "b"}, {"a", "b", "c"}} {
			equal(t, fmt.Sprint("attempt ", call+1), up.of(call+1), want)
		}
		equal(t, "outer hook", outer.all(), []string{"a", "b", "c"})
		equal(t, "hook between the retries", middle.all(), []string{"a", "b", "a", "b", "c"})
		equal(t, "inner hook", inner.all(), []string{"a", "b", "a", "b", "a", "b", "c"})
	})
}

// TestReplayIsOutsideOfItsHooks: the hooks of the interceptor that retries run for
// every attempt, whether it registers them before or after Replayable.
func TestReplayIsOutsideOfItsHooks(t *testing.T) {
	for _, order := range []string{"hook, Replayable", "Replayable, hook"} {
		t.Run(order, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				var j journal
				interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if order == "Replayable, hook" {
						call.Replayable(1 << 10)
					}
					call.OnSend(func(msg any, emit func(any) error) error {
						j.add(*textOf(msg))
						return emit(msg)
					})
					if order == "hook, Replayable" {
						call.Replayable(1 << 10)
					}
					if err := next(ctx, call); status.Code(err) != codes.Unavailable {
						return err
					}
					return next(ctx, call)
				})
				up := &uploads{fail: failsOnce(1)}
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, up.backend(), interceptor)
				wantCode(t, env.Call(patient(t), "a").Err, codes.OK)
				equal(t, "the hook saw", j.all(), []string{"a", "a"})
				equal(t, "attempt 2", up.of(2), []string{"a"})
			})
		})
	}
}

// Rule b.

// rejecting is an interceptor whose hook rejects the messages "bad", in one direction.
func rejecting(direction string, code codes.Code) hauberk.Interceptor {
	reject := func(msg any) error {
		if strings.HasSuffix(*textOf(msg), "bad") {
			return status.Error(code, "rejected by a hook")
		}
		return nil
	}
	if direction == "receive" {
		return receives(func(msg any) (bool, error) { return true, reject(msg) })
	}
	return sends(func(msg any, emit func(any) error) error {
		if err := reject(msg); err != nil {
			return err
		}
		return emit(msg)
	})
}

// wantRejected expects the error of rejecting.
func wantRejected(t *testing.T, what string, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code || status.Convert(err).Message() != "rejected by a hook" {
		t.Errorf("%s: %v, want the hook's %s", what, err, code)
	}
}

// eachCode runs a test with a code that retries act on, and with another.
func eachCode(t *testing.T, test func(t *testing.T, code codes.Code)) {
	t.Helper()
	for _, code := range []codes.Code{codes.InvalidArgument, codes.Unavailable} {
		t.Run(code.String(), func(t *testing.T) { test(t, code) })
	}
}

// TestHookErrorOutsideARetry: an error of a hook outside of a retry ends the call
// with its status, of any code: the retry inside makes no further attempt.
func TestHookErrorOutsideARetry(t *testing.T) {
	for _, direction := range []string{"send", "receive"} {
		t.Run(direction, func(t *testing.T) {
			eachCode(t, func(t *testing.T, code codes.Code) {
				bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
					var calls atomic.Int64
					backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
						calls.Add(1)
						return hauberktest.Echo(ctx, s)
					}}
					outcomes := make(endings, 1)
					env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend,
						outcomes, rejecting(direction, code), retry(3))
					texts := []string{"a", "bad", "c"}
					if !kind.ClientStreams() || kind == hauberk.ClientStream && direction == "receive" {
						texts = []string{"bad"}
					}
					wantRejected(t, "the call", env.Call(patient(t), texts...).Err, code)
					wantRejected(t, "the outer interceptor", <-outcomes, code)
					if calls.Load() > 1 {
						t.Errorf("%d attempts, want one", calls.Load())
					}
				})
			})
		})
	}
}

// TestHookErrorBetweenAttempts: a hook outside of a retry that rejects a message
// while the retry waits between two attempts ends the call at once: the wait is
// cancelled, SendMsg and RecvMsg return the hook's error, and no attempt follows.
func TestHookErrorBetweenAttempts(t *testing.T) {
	eachCode(t, func(t *testing.T, code codes.Code) {
		bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
			up := &uploads{fail: failsOnce(1)}
			cancelled := false
			pause := func(ctx context.Context) error {
				<-ctx.Done()
				cancelled = true
				return ctx.Err()
			}
			outcomes := make(endings, 1)
			conn := behind(t, up.backend(), outcomes, rejecting("send", code), retrying(1<<20, 3, pause))
			ctx, cancel := context.WithCancel(patient(t))
			defer cancel()
			stream := start(ctx, t, conn, kind)
			end := receiving(stream)
			if err := stream.SendMsg(message("a")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the first attempt has failed
			var sent error
			if !settles(func() { sent = stream.SendMsg(message("bad")) }) {
				t.Error("SendMsg of the rejected message is blocked")
				cancel()
				synctest.Wait()
			}
			wantRejected(t, "SendMsg", sent, code)
			if err := stream.SendMsg(message("c")); err == nil {
				t.Error("SendMsg after the rejection returned nil")
			}
			got := <-end
			wantRejected(t, "RecvMsg", got.err, code)
			wantRejected(t, "the outer interceptor", <-outcomes, code)
			if up.calls() != 1 || !cancelled {
				t.Errorf("%d attempts, want 1; the retry's context was cancelled: %t", up.calls(), cancelled)
			}
		})
	})
}

// TestHookErrorDuringAReplay: a hook outside of a retry that rejects a message while
// an attempt replays ends the call: the attempt is cancelled.
func TestHookErrorDuringAReplay(t *testing.T) {
	eachCode(t, func(t *testing.T, code codes.Code) {
		bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
			conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
				if n == 1 {
					sent := make(chan struct{})
					return &script{
						send:    func(context.Context, any) error { close(sent); return nil },
						receive: func(context.Context, any) error { <-sent; return status.Error(codes.Unavailable, "restarting") },
					}, nil
				}
				return &script{send: func(ctx context.Context, _ any) error { return untilDone(ctx) }}, nil // flow control
			}}
			chain := hauberk.Must(hauberk.New(rejecting("send", code), retry(5)))
			ctx, cancel := context.WithCancel(patient(t))
			defer cancel()
			stream := start(ctx, t, chain.ClientConn(conn), kind)
			end := receiving(stream)
			if err := stream.SendMsg(message("a")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the second attempt replays
			var sent error
			if !settles(func() { sent = stream.SendMsg(message("bad")) }) {
				t.Error("SendMsg of the rejected message is blocked")
				cancel()
				synctest.Wait()
			}
			wantRejected(t, "SendMsg", sent, code)
			got := <-end
			wantRejected(t, "RecvMsg", got.err, code)
			if conn.attempts.Load() != 2 {
				t.Errorf("%d attempts, want 2", conn.attempts.Load())
			}
		})
	})
}

// TestHookErrorInsideARetry: an error of a hook inside of a retry is the failure of
// its attempt, which the retry may make again; SendMsg of the message that the
// next attempt sends returns nil.
func TestHookErrorInsideARetry(t *testing.T) {
	for _, direction := range []string{"send", "receive"} {
		t.Run(direction, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				up := &uploads{}
				var seen atomic.Int64
				first := int64(2) // the attempt fails at its second request, or at its response
				if direction == "receive" || !kind.ClientStreams() {
					first = 1
				}
				fail := func() error {
					if seen.Add(1) == first {
						return status.Error(codes.Unavailable, "rejected by a hook")
					}
					return nil
				}
				inner := receives(func(any) (bool, error) { return true, fail() })
				if direction == "send" {
					inner = sends(func(msg any, emit func(any) error) error {
						if err := fail(); err != nil {
							return err
						}
						return emit(msg)
					})
				}
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, up.backend(), retry(3), inner)
				out := env.Call(patient(t), "a", "b", "c")
				wantCode(t, out.Err, codes.OK)
				want := []string{"a", "b", "c"}
				if !kind.ClientStreams() {
					want = want[:1]
				}
				synctest.Wait() // for the handlers of attempts that have failed
				if !slices.ContainsFunc(up.got, func(got []string) bool { return slices.Equal(got, want) }) {
					t.Errorf("the attempts sent %q; want one that sent %q", up.got, want)
				}
				equal(t, "responses", out.Texts(), []string{fmt.Sprint(len(want), " stored")})
			})
		})
	}
}

// TestInnerInterceptorsAfterAHookError: when a hook's error ends the leg of its
// interceptor, the contexts of all inner interceptors are cancelled, CanAttempt is
// false there, and their next returns the error at once.
func TestInnerInterceptorsAfterAHookError(t *testing.T) {
	for _, direction := range []string{"send", "receive"} {
		kinds := uploadKinds
		if direction == "receive" {
			kinds = []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} // others show their response to hooks after next
		}
		t.Run(direction, func(t *testing.T) {
			eachCode(t, func(t *testing.T, code codes.Code) {
				bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
					var calls atomic.Int64
					backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
						calls.Add(1)
						return hauberktest.Echo(ctx, s)
					}}
					inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						call.Replayable(1 << 10)
						wantRejected(t, "the inner next", next(ctx, call), code)
						if ctx.Err() == nil {
							t.Error("the context of the inner interceptor is not cancelled")
						}
						if call.CanAttempt() {
							t.Error("CanAttempt is true")
						}
						err := next(ctx, call)
						wantRejected(t, "the inner next, again", err, code)
						return err
					})
					env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, rejecting(direction, code), inner)
					wantRejected(t, "the call", env.Call(patient(t), "bad").Err, code)
					if calls.Load() > 1 {
						t.Errorf("%d attempts, want one", calls.Load())
					}
				})
			})
		})
	}
}

// TestHookErrorStands: next returns the error of a hook of its interceptor even if inner
// interceptors hide it, replace it or reply.
func TestHookErrorStands(t *testing.T) {
	making := map[string]hauberk.Func{
		"nil": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return nil
		},
		"another error": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return status.Error(codes.Unavailable, "something else")
		},
		"a reply": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return call.Reply(response("fallback"))
		},
	}
	for _, direction := range []string{"send", "receive"} {
		for name, inner := range making {
			t.Run(direction+"/"+name, func(t *testing.T) {
				hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
					held := !c.Kind.ServerStreams() && (direction == "send") == (c.Side == hauberk.ServerSide)
					if held && name == "another error" {
						return // hooks do not see a single response that an inner interceptor has discarded
					}
					var once atomic.Bool
					reject := func() error {
						if once.Swap(true) {
							return nil // such as the reply
						}
						return status.Error(codes.InvalidArgument, "rejected by a hook")
					}
					owner := receives(func(any) (bool, error) { return true, reject() })
					if direction == "send" {
						owner = sends(func(msg any, emit func(any) error) error {
							if err := reject(); err != nil {
								return err
							}
							return emit(msg)
						})
					}
					outcomes := make(endings, 1)
					out := c.StartWith(t, stubborn, outcomes, owner, inner).Call(patient(t))
					wantRejected(t, "the outer interceptor", <-outcomes, codes.InvalidArgument)
					wantRejected(t, "the call", out.Err, codes.InvalidArgument)
				})
			})
		}
	}
}

// Rule c.

// gate is a connection that calls before ahead of each stream.
type gate struct {
	grpc.ClientConnInterface

	before func()
}

func (g gate) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	g.before()
	return g.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}

// TestLargeMessageBetweenAttempts: a message too large for the replay buffer that is
// sent between two attempts waits for the next one, which gets the replay and then
// the message. That attempt is the last: the buffer is gone.
func TestLargeMessageBetweenAttempts(t *testing.T) {
	for _, place := range []string{"while the retry waits", "while an interceptor prepares the attempt", "while the attempt is opened"} {
		for _, second := range []codes.Code{codes.OK, codes.Unavailable} {
			t.Run(place+"/"+second.String(), func(t *testing.T) {
				bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
					up := &uploads{fail: func(call, n int, end bool) error {
						if call == 1 && n == 3 || end && second != codes.OK {
							return status.Error(codes.Unavailable, "restarting")
						}
						return nil
					}}
					goOn := make(chan struct{})
					var passed [3]atomic.Int64
					hold := func(at int, name string, first int64) {
						if passed[at].Add(1) >= first && place == name {
							<-goOn
						}
					}
					pause := func(context.Context) error { hold(0, "while the retry waits", 1); return nil }
					prepare := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						hold(1, "while an interceptor prepares the attempt", 2)
						return next(ctx, call)
					})
					opening := gate{hauberktest.Start(t, hauberktest.Setup{Backend: up.backend()}).Client, func() {
						hold(2, "while the attempt is opened", 2)
					}}
					conn := hauberk.Must(hauberk.New(retrying(1000, 5, pause), prepare)).ClientConn(opening)
					ctx, cancel := context.WithCancel(patient(t))
					defer cancel()
					stream := start(ctx, t, conn, kind)
					end := receiving(stream)
					for _, text := range []string{"1", "2", "3"} {
						if err := stream.SendMsg(message(text)); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait() // the first attempt has failed
					large := strings.Repeat("x", 2000)
					var sent error
					sending := starts(func() { sent = stream.SendMsg(message(large)) })
					if finished(sending) {
						t.Errorf("SendMsg returned %v before there was an attempt to take the message", sent)
					}
					close(goOn)
					<-sending
					if sent != nil {
						t.Errorf("SendMsg: %v", sent)
					}
					_ = stream.CloseSend()
					got := <-end
					wantCode(t, got.err, second)
					if second == codes.OK && got.text != "4 stored" {
						t.Errorf("the upload of 4 messages was answered %q", got.text)
					}
					if up.calls() != 2 {
						t.Errorf("%d attempts, want 2", up.calls())
					}
					equal(t, "attempt 2", up.of(2), []string{"1", "2", "3", large})
				})
			})
		}
	}
}

// TestLargeMessageDuringAnAttempt: a message too large for the replay buffer that is
// sent during an attempt goes to that attempt, which is the last.
func TestLargeMessageDuringAnAttempt(t *testing.T) {
	for _, first := range []codes.Code{codes.OK, codes.Unavailable} {
		t.Run(first.String(), func(t *testing.T) {
			bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
				up := &uploads{fail: func(_, n int, _ bool) error {
					if n == 3 && first != codes.OK {
						return status.Error(codes.Unavailable, "restarting")
					}
					return nil
				}}
				conn := behind(t, up.backend(), retrying(1000, 5, func(context.Context) error { return nil }))
				stream := start(patient(t), t, conn, kind)
				for _, text := range []string{"1", strings.Repeat("x", 2000), "3"} {
					if err := stream.SendMsg(message(text)); err != nil {
						t.Fatal(err)
					}
				}
				_ = stream.CloseSend()
				got := <-receiving(stream)
				wantCode(t, got.err, first)
				if up.calls() != 1 || len(up.of(1)) != 3 {
					t.Errorf("%d attempts, %d messages in the first", up.calls(), len(up.of(1)))
				}
			})
		})
	}
}

// TestMessagesAreSentAsTheyWere: a new attempt sends the messages as they were when
// the application sent them, though the application has changed them since, as with
// grpc-go's own retries.
func TestMessagesAreSentAsTheyWere(t *testing.T) {
	for _, who := range []string{"grpc-go's own retries", "retry", "hedge"} {
		kinds := allKinds
		if who == "hedge" {
			kinds = []hauberk.Kind{hauberk.Unary, hauberk.ServerStream}
		}
		t.Run(who, func(t *testing.T) {
			bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
				changed, more := make(chan struct{}), make(chan struct{}, 1)
				up := &uploads{fail: func(call, _ int, _ bool) error {
					if call > 1 {
						return nil
					}
					<-changed
					if who == "hedge" {
						more <- struct{}{}
					}
					return status.Error(codes.Unavailable, "restarting")
				}}
				var conn grpc.ClientConnInterface
				switch who {
				case "retry":
					conn = behind(t, up.backend(), retry(3))
				case "hedge":
					conn = behind(t, up.backend(), hedge(more))
				default:
					conn = bare(t, up.backend(), grpc.WithDefaultServiceConfig(nativeRetry))
				}
				stream := start(patient(t), t, conn, kind)
				msg := message("page 1")
				if err := stream.SendMsg(msg); err != nil {
					t.Fatal(err)
				}
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				msg.Text = "page 2" // for the next call
				close(changed)
				if got := <-receiving(stream); got.err != nil {
					t.Error(got.err)
				}
				if up.calls() != 2 {
					t.Fatalf("%d attempts, want 2", up.calls())
				}
				equal(t, "attempt 2", up.of(2), []string{"page 1"})
			})
		})
	}
}

// Rule d.

// senders are connections through which an application streams requests, the first
// of them bare.
func senders(t *testing.T, b *hauberktest.Backend) []world {
	t.Helper()
	return slices.Insert(worlds(t, b), 1,
		world{"grpc-go's own retries", bare(t, b, grpc.WithDefaultServiceConfig(nativeRetry))})
}

// TestSenderLearnsOfTheEnd: SendMsg returns io.EOF once the server has ended the call
// for good, and RecvMsg the status, whether or not a receiver waits meanwhile.
func TestSenderLearnsOfTheEnd(t *testing.T) {
	for _, receiver := range []bool{false, true} {
		t.Run(fmt.Sprint("receiver=", receiver), func(t *testing.T) {
			bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					_, _ = s.Recv()
					return status.Error(codes.PermissionDenied, "not you")
				}}
				for _, w := range senders(t, backend) {
					stream := start(patient(t), t, w.conn, kind)
					var end <-chan received
					if receiver {
						end = receiving(stream)
					}
					if err := stream.SendMsg(message("a")); err != nil {
						t.Fatal(err)
					}
					synctest.Wait() // the end has arrived
					for range 3 {
						var err error
						if !settles(func() { err = stream.SendMsg(message("b")) }) || err != io.EOF {
							t.Errorf("%s: SendMsg: %v, want io.EOF", w.name, err)
						}
					}
					if !receiver {
						end = receiving(stream)
					}
					if got := <-end; status.Code(got.err) != codes.PermissionDenied {
						t.Errorf("%s: RecvMsg: %v", w.name, got.err)
					}
				}
			})
		})
	}
}

// TestRetryWhileOnlySending: an attempt that failed is made again while the
// application sends: it need neither receive nor close. An upload that has outgrown
// the replay buffer since is the new attempt's.
func TestRetryWhileOnlySending(t *testing.T) {
	for name, connect := range map[string]func(t *testing.T, b *hauberktest.Backend) grpc.ClientConnInterface{
		"grpc-go's own retries": func(t *testing.T, b *hauberktest.Backend) grpc.ClientConnInterface {
			return bare(t, b, grpc.WithDefaultServiceConfig(nativeRetry))
		},
		"retry": func(t *testing.T, b *hauberktest.Backend) grpc.ClientConnInterface { return behind(t, b, retry(4)) },
		"hooks outside and inside": func(t *testing.T, b *hauberktest.Backend) grpc.ClientConnInterface {
			return behind(t, b, passThrough(), retry(4), passThrough())
		},
		"a retry inside another": func(t *testing.T, b *hauberktest.Backend) grpc.ClientConnInterface {
			return behind(t, b, retry(4), retry(4))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
				const n, size = 20, 16 << 10 // more than the 64 KiB of retry
				up := &uploads{fail: failsOnce(1)}
				stream := start(patient(t), t, connect(t, up.backend()), kind)
				for i := range n {
					if err := stream.SendMsg(&testpb.Request{Text: fmt.Sprint(i), Payload: make([]byte, size)}); err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
					synctest.Wait()
				}
				if up.calls() != 2 || len(up.of(2)) != n {
					t.Errorf("before the end of the upload: %d calls, %d of %d messages in the second", up.calls(), len(up.of(2)), n)
				}
				_ = stream.CloseSend()
				if got := <-receiving(stream); got.err != nil || got.text != fmt.Sprint(n, " stored") {
					t.Errorf("RecvMsg: %+v", got)
				}
			})
		})
	}
}

// TestHooksAndTheEndOfASend: what a hook makes of the io.EOF that emit returns hides
// the end from no one: SendMsg returns io.EOF, RecvMsg and next the server's status.
func TestHooksAndTheEndOfASend(t *testing.T) {
	for name, hook := range map[string]hauberk.SendHook{
		"passes it on": func(msg any, emit func(any) error) error { return emit(msg) },
		"drops it":     func(msg any, emit func(any) error) error { _ = emit(msg); return nil },
		"wraps it": func(msg any, emit func(any) error) error {
			if err := emit(msg); err != nil {
				return fmt.Errorf("sending %T: %w", msg, err)
			}
			return nil
		},
	} {
		for _, place := range []string{"alone", "outside of a retry", "inside of a retry"} {
			t.Run(name+"/"+place, func(t *testing.T) {
				bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
					backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
						_, _ = s.Recv()
						return status.Error(codes.PermissionDenied, "not you")
					}}
					outcomes := make(endings, 1)
					interceptors := []hauberk.Interceptor{outcomes, sends(hook)}
					if place == "outside of a retry" {
						interceptors = append(interceptors, retry(3))
					}
					if place == "inside of a retry" {
						interceptors = slices.Insert(interceptors, 1, retry(3))
					}
					stream := start(patient(t), t, behind(t, backend, interceptors...), kind)
					if err := stream.SendMsg(message("a")); err != nil {
						t.Fatal(err)
					}
					synctest.Wait() // the end has arrived
					if err := stream.SendMsg(message("b")); err != io.EOF {
						t.Errorf("SendMsg: %v, want io.EOF", err)
					}
					wantCode(t, (<-receiving(stream)).err, codes.PermissionDenied)
					wantCode(t, <-outcomes, codes.PermissionDenied)
				})
			})
		}
	}
}

// TestReplayThatIsBrokenOff: when the transport stream ends while an attempt replays,
// SendMsg returns io.EOF and RecvMsg the status of that attempt, also if nothing
// had received it yet.
func TestReplayThatIsBrokenOff(t *testing.T) {
	for _, size := range []int{1, 2000} { // the message fits the replay buffer, or not
		t.Run(fmt.Sprint("size=", size), func(t *testing.T) {
			bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
				conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
					if n == 1 {
						return &script{}, nil
					}
					return &script{
						send:    func(context.Context, any) error { return io.EOF },
						receive: func(context.Context, any) error { return status.Error(codes.PermissionDenied, "not you") },
						header:  func(context.Context) (metadata.MD, error) { return nil, nil },
					}, nil
				}}
				var sent atomic.Int64
				inner := sends(func(msg any, emit func(any) error) error {
					if sent.Add(1) == 2 {
						return status.Error(codes.Unavailable, "the first attempt fails at its second message")
					}
					return emit(msg)
				})
				retry := retrying(1000, 2, func(context.Context) error { return nil })
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				stream := start(ctx, t, hauberk.Must(hauberk.New(retry, inner)).ClientConn(conn), kind)
				if err := stream.SendMsg(message("a")); err != nil {
					t.Error(err)
				}
				if !settles(func() { _ = stream.SendMsg(message("b")) }) {
					t.Error("SendMsg is blocked")
				}
				var err error
				if !settles(func() { err = stream.SendMsg(message(strings.Repeat("x", size))) }) {
					t.Error("SendMsg after the replay is blocked")
					cancel()
					synctest.Wait()
				}
				if err != io.EOF {
					t.Errorf("SendMsg: %v, want io.EOF", err)
				}
				wantCode(t, (<-receiving(stream)).err, codes.PermissionDenied)
			})
		})
	}
}

// TestSendAfterTheWaitBetweenAttempts: SendMsg between two attempts waits for the
// next one and returns what becomes of the message: nil if that attempt takes it,
// and otherwise io.EOF.
func TestSendAfterTheWaitBetweenAttempts(t *testing.T) {
	for _, second := range []codes.Code{codes.OK, codes.PermissionDenied} {
		t.Run(second.String(), func(t *testing.T) {
			bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
				up := &uploads{fail: func(call, n int, _ bool) error {
					switch {
					case call == 1:
						return status.Error(codes.Unavailable, "restarting")
					case n == 1 && second != codes.OK:
						return status.Error(second, "not you")
					}
					return nil
				}}
				goOn := make(chan struct{})
				stream := start(patient(t), t, behind(t, up.backend(), retrying(1<<10, 3, upon(goOn))), kind)
				end := receiving(stream)
				if err := stream.SendMsg(message("a")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // the first attempt has failed
				var errs [2]error
				sending := starts(func() { errs[0] = stream.SendMsg(message("b")) })
				if finished(sending) {
					t.Errorf("SendMsg returned %v before there was an attempt to take the message", errs[0])
				}
				close(goOn)
				<-sending
				synctest.Wait()
				errs[1] = stream.SendMsg(message("c"))
				if second == codes.OK {
					if errs != [2]error{} {
						t.Errorf("SendMsg: %v", errs)
					}
					_ = stream.CloseSend()
					synctest.Wait()
					equal(t, "attempt 2", up.of(2), []string{"a", "b", "c"})
				} else if errs[1] != io.EOF {
					t.Errorf("SendMsg: %v, want io.EOF at the latest for the second", errs)
				}
				wantCode(t, (<-end).err, second)
			})
		})
	}
}
