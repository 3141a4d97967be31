package hauberk_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file use a stream from unusual places: hooks, callbacks, nested
// calls, concurrent attempts. A goroutine that is left makes its bubble fail.

// sleep waits in a bubble, where the clock is fake.
func sleep(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // synctest

// again makes up to n attempts, for any outcome.
func again(n int) hauberk.Interceptor {
	return retrying(1<<16, n, func(context.Context) error { return nil })
}

// TestHooksSendOnTheirStream: a receive hook that sends on its own stream ends with the
// context of the call at the latest.
func TestHooksSendOnTheirStream(t *testing.T) {
	for name, chain := range map[string]func(ack hauberk.Interceptor) []hauberk.Interceptor{
		"alone":         func(ack hauberk.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{ack} },
		"inside retry":  func(ack hauberk.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{again(2), ack} },
		"outside retry": func(ack hauberk.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{ack, again(2)} },
		"between": func(ack hauberk.Interceptor) []hauberk.Interceptor {
			return []hauberk.Interceptor{again(2), ack, again(2)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					_, _ = s.Recv()
					_ = s.Send(response("r"))
					return status.Error(codes.Unavailable, "over")
				}}
				var stream grpc.ClientStream
				ack := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					call.OnReceive(func(any) (bool, error) {
						synctest.Wait() // the server ends meanwhile
						_ = stream.SendMsg(message("ack"))
						return true, nil
					})
					return next(ctx, call)
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				stream = start(ctx, t, behind(t, b, chain(ack)...), hauberk.Bidi)
				if err := stream.SendMsg(message("m")); err != nil {
					t.Fatal(err)
				}
				got := new(testpb.Response)
				if err := stream.RecvMsg(got); err != nil || got.GetText() != "r" {
					t.Errorf("received %q, %v", got.GetText(), err)
				}
				wantCode(t, stream.RecvMsg(got), codes.Unavailable)
			})
		})
	}
}

// TestSendHooksUseTheirStream: what a send hook does with its stream, but for
// receiving, ends with the context of the call at the latest.
func TestSendHooksUseTheirStream(t *testing.T) {
	for name, around := range map[string][]hauberk.Interceptor{"plain": nil, "retry": {again(2)}} {
		for _, op := range []string{"Header", "Context", "Trailer", "CloseSend"} {
			t.Run(name+"/"+op, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var stream grpc.ClientStream
					uses := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						call.OnSend(func(msg any, emit func(any) error) error {
							_ = operate(stream, op)
							return emit(msg)
						})
						return next(ctx, call)
					})
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					began := time.Now()
					stream = start(ctx, t, behind(t, &hauberktest.Backend{}, append(around, uses)...), hauberk.Bidi)
					_ = stream.SendMsg(message("m"))
					if took := time.Since(began); took > time.Minute {
						t.Errorf("SendMsg took %s", took)
					}
				})
			})
		}
	}
}

// TestOnFinishUsesTheStream: a callback of grpc.OnFinish may use its stream.
func TestOnFinishUsesTheStream(t *testing.T) {
	for _, op := range []string{"Header", "Context", "Trailer", "CloseSend", "SendMsg"} {
		synctest.Test(t, func(t *testing.T) {
			for _, w := range worlds(t, &hauberktest.Backend{}) {
				called := false
				var stream grpc.ClientStream
				stream = start(t.Context(), t, w.conn, hauberk.Bidi, grpc.OnFinish(func(error) {
					called = true
					_ = operate(stream, op)
				}))
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				for stream.RecvMsg(new(testpb.Response)) == nil {
					continue
				}
				synctest.Wait()
				if !called {
					t.Errorf("%s: OnFinish with %s was not called", w.name, op)
				}
			}
		})
	}
}

// TestClosedConnEndsChains: ClientConn.Close ends streams whose application has gone,
// with any chain.
func TestClosedConnEndsChains(t *testing.T) {
	for name, chain := range map[string][]hauberk.Interceptor{
		"idle": {hauberk.Func(idle)}, "retry": {again(3)}, "adapter": {adapted()}, "adapters": {adapted(), hauberk.Func(idle), adapted()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := bare(t, &hauberktest.Backend{}, hauberk.Must(hauberk.New(chain...)).DialOptions()...)
				stream := start(context.Background(), t, conn, hauberk.Bidi) // with a context that does not end
				if err := errors.Join(stream.SendMsg(message("a")), stream.RecvMsg(new(testpb.Response))); err != nil {
					t.Fatal(err)
				}
				if err := conn.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestHeaderOfACallWithoutMessages: an application that asks only for the header of a
// call that ends OK without one leaves nothing, as with bare grpc-go.
func TestHeaderOfACallWithoutMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return nil }}
		for _, w := range worlds(t, b) {
			stream, err := testpb.NewTestServiceClient(w.conn).ServerStream(context.Background(), message("m"))
			if err != nil {
				t.Fatal(err)
			}
			if md, err := stream.Header(); md != nil || err != nil {
				t.Errorf("%s: header %v, %v", w.name, md, err)
			}
		}
	})
}

// TestCallOnAStreamsContext: a further call on the context of a call, made by the
// application or by an interceptor, has the chain around it once more, as
// interceptors of grpc-go have.
func TestCallOnAStreamsContext(t *testing.T) {
	b := &hauberktest.Backend{}
	for _, attach := range []struct {
		name string
		conn func(t *testing.T, chain *hauberk.Chain) grpc.ClientConnInterface
	}{
		{"DialOptions", func(t *testing.T, c *hauberk.Chain) grpc.ClientConnInterface { return bare(t, b, c.DialOptions()...) }},
		{"ClientConn", func(t *testing.T, c *hauberk.Chain) grpc.ClientConnInterface { return c.ClientConn(bare(t, b)) }},
		{"both", func(t *testing.T, c *hauberk.Chain) grpc.ClientConnInterface {
			return c.ClientConn(bare(t, b, c.DialOptions()...))
		}},
	} {
		t.Run(attach.name+"/application", func(t *testing.T) {
			var runs atomic.Int64
			conn := attach.conn(t, hauberk.Must(hauberk.New(counter(&runs))))
			first := start(t.Context(), t, conn, hauberk.Bidi)
			start(first.Context(), t, conn, hauberk.Bidi)
			if got := runs.Load(); got != 2 {
				t.Errorf("the chain ran %d times for 2 calls", got)
			}
		})
		t.Run(attach.name+"/interceptor", func(t *testing.T) {
			var outer, inner atomic.Int64
			var conn grpc.ClientConnInterface
			mirror := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if outer.Add(1) == 1 {
					if err := conn.Invoke(ctx, hauberktest.FullMethod(hauberk.Unary), message("copy"), new(testpb.Response)); err != nil {
						t.Error(err)
					}
				}
				return next(ctx, call)
			})
			conn = attach.conn(t, hauberk.Must(hauberk.New(mirror, counter(&inner))))
			if _, err := testpb.NewTestServiceClient(conn).Unary(t.Context(), message("a")); err != nil {
				t.Fatal(err)
			}
			if outer.Load() != 2 || inner.Load() != 2 {
				t.Errorf("the interceptors ran %d and %d times for 2 calls", outer.Load(), inner.Load())
			}
		})
	}
}

func counter(runs *atomic.Int64) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		runs.Add(1)
		return next(ctx, call)
	})
}

// TestChainRunsOnceAroundAnother: a chain runs once, also with another between its two
// places.
func TestChainRunsOnceAroundAnother(t *testing.T) {
	var runs atomic.Int64
	chain, other := hauberk.Must(hauberk.New(counter(&runs))), hauberk.Must(hauberk.New(hauberk.Func(idle)))
	conn := chain.ClientConn(other.ClientConn(bare(t, &hauberktest.Backend{}, chain.DialOptions()...)))
	for i, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		start(t.Context(), t, conn, kind)
		if got := runs.Load(); got != int64(i+1) {
			t.Errorf("%s: the chain ran %d times", kind, got-int64(i))
		}
	}
}

// both starts two concurrent attempts, the second delay after the first, and adopts
// them in the order in which they end.
func both(delay time.Duration, errs *[2]error) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		type result struct {
			attempt *hauberk.Call
			i       int
			err     error
		}
		results := make(chan result, 2)
		for i := range 2 {
			attempt := call.Attempt()
			go func() { results <- result{attempt, i, next(ctx, attempt)} }()
			sleep(delay)
		}
		var last error
		for range 2 {
			r := <-results
			errs[r.i] = r.err
			if !errors.Is(r.err, hauberk.ErrSuperseded) {
				call.Adopt(r.attempt)
				last = r.err
			}
		}
		return last
	})
}

// TestAttemptWhileAHookRuns: a concurrent attempt may be copied while a hook of another
// runs.
func TestAttemptWhileAHookRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(msg any, emit func(any) error) error {
				sleep(3 * time.Millisecond)
				return emit(msg)
			})
			return next(ctx, call)
		})
		var errs [2]error
		stream, err := testpb.NewTestServiceClient(behind(t, &hauberktest.Backend{}, both(time.Millisecond, &errs), slow)).
			ServerStream(t.Context(), &testpb.Request{Text: "a", Count: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Error(err)
		}
		if err := stream.RecvMsg(new(testpb.Response)); err != io.EOF {
			t.Errorf("then received %v", err)
		}
		for _, err := range errs {
			if err != nil && !errors.Is(err, hauberk.ErrSuperseded) {
				t.Errorf("an attempt ended with %v", err)
			}
		}
	})
}

// TestTrailerOfFailedAttempts: if all concurrent attempts fail, the trailer is that of
// the attempt whose error the application gets.
func TestTrailerOfFailedAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		b := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			n := calls.Add(1)
			s.SetTrailer(metadata.Pairs("try", strconv.FormatInt(n, 10)))
			sleep(time.Duration(n) * time.Second)
			return status.Error(codes.Unavailable, strconv.FormatInt(n, 10))
		}}
		var option metadata.MD
		stream, err := testpb.NewTestServiceClient(behind(t, b, both(time.Millisecond, new([2]error)))).
			ServerStream(t.Context(), message("m"), grpc.Trailer(&option))
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		want := status.Convert(err).Message()
		if got := stream.Trailer().Get("try"); len(got) != 1 || got[0] != want || option.Get("try")[0] != want {
			t.Errorf("error of attempt %s, trailer of %v, option %v", want, got, option)
		}
	})
}

// TestOuterHookOfASingleRequest: an outer hook sees a single request once, though an
// inner interceptor gives up an attempt while the hook runs.
func TestOuterHookOfASingleRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(msg any, emit func(any) error) error {
				runs++
				sleep(100 * time.Millisecond)
				return emit(msg)
			})
			return next(ctx, call)
		})
		hasty := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
			defer cancel()
			if err := next(short, call); err == nil || !call.CanAttempt() {
				return err
			}
			return next(ctx, call)
		})
		stream, err := testpb.NewTestServiceClient(behind(t, &hauberktest.Backend{}, outer, hasty)).
			ServerStream(t.Context(), &testpb.Request{Text: "a", Count: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil || runs != 1 {
			t.Errorf("received %v; the hook ran %d times", err, runs)
		}
		if err := stream.RecvMsg(new(testpb.Response)); err != io.EOF {
			t.Errorf("then received %v", err)
		}
	})
}

// TestInterceptorLeavesAnOpening: an interceptor may return at any time while its next
// opens the stream on another goroutine.
func TestInterceptorLeavesAnOpening(t *testing.T) {
	slow := hauberk.FromClient(
		func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
			return nil
		},
		func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			sleep(time.Millisecond)
			stream, err := open(ctx, desc, cc, method, opts...)
			sleep(time.Millisecond)
			return stream, err
		})
	for patience := range 5 {
		for name, inner := range map[string][]hauberk.Interceptor{"at once": nil, "slowly": {slow}} {
			t.Run(name+"/"+strconv.Itoa(patience), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					hasty := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						go func() { _ = next(ctx, call) }()
						sleep(time.Duration(patience) * 500 * time.Microsecond)
						return status.Error(codes.Unavailable, "too slow")
					})
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					stream, err := behind(t, &hauberktest.Backend{}, append([]hauberk.Interceptor{hasty}, inner...)...).
						NewStream(ctx, descOf(hauberk.Bidi), hauberktest.FullMethod(hauberk.Bidi))
					if err == nil {
						err = stream.RecvMsg(new(testpb.Response))
					}
					wantCode(t, err, codes.Unavailable)
				})
			})
		}
	}
}

// TestSingleRequestIsSentBeforeReceiving: the application receives from a new attempt
// once its request was sent, as generated code does, so that stats handlers count it.
func TestSingleRequestIsSentBeforeReceiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := make(chan struct{})
		conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
			if n == 1 {
				return &script{receive: func(context.Context, any) error { return status.Error(codes.Unavailable, "restarting") }}, nil
			}
			return &script{
				send: func(context.Context, any) error { <-sent; return nil },
				receive: func(context.Context, any) error {
					select {
					case <-sent:
					default:
						t.Error("the application receives while the request is being sent")
					}
					return io.EOF
				},
			}, nil
		}}
		stream := start(t.Context(), t, hauberk.Must(hauberk.New(again(2))).ClientConn(conn), hauberk.ServerStream)
		if err := errors.Join(stream.SendMsg(message("m")), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		end := receiving(stream)
		synctest.Wait()
		close(sent)
		if got := <-end; got.err != io.EOF {
			t.Errorf("received %v", got.err)
		}
	})
}

// TestReadGivesUpThenNext: an interceptor calls next although Read has ended with its
// context; the chain ends when the application cancels the call and leaves.
func TestReadGivesUpThenNext(t *testing.T) {
	reads := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		short, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := call.Read(short); err == nil {
			t.Error("Read returned a request that was not sent")
		}
		return next(ctx, call)
	})
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := behind(t, &hauberktest.Backend{}, reads).NewStream(ctx, descOf(hauberk.ServerStream), hauberktest.FullMethod(hauberk.ServerStream))
			cancel()
			if err != nil {
				wantCode(t, err, codes.Canceled)
			}
		})
	}
}

// TestLoserEndsWhileTheApplicationReceives: a concurrent attempt that has lost ends,
// though the application waits for a message of the winner.
func TestLoserEndsWhileTheApplicationReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
			return &script{header: func(context.Context) (metadata.MD, error) {
				sleep(time.Duration(2-n) * time.Second) // the second is faster
				return metadata.Pairs("attempt", strconv.Itoa(n)), nil
			}}, nil
		}}
		lost := make(chan struct{})
		hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			first, second := call.Attempt(), call.Attempt()
			go func() {
				defer close(lost)
				_ = next(ctx, first)
			}()
			sleep(time.Millisecond)
			err := next(ctx, second)
			<-lost
			call.Adopt(second)
			return err
		})
		stream := start(patient(t), t, hauberk.Must(hauberk.New(hedge)).ClientConn(conn), hauberk.ServerStream)
		if err := errors.Join(stream.SendMsg(message("q")), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		if md, err := stream.Header(); err != nil || md.Get("attempt")[0] != "2" {
			t.Fatalf("header %v, %v", md, err)
		}
		got := receiving(stream)
		sleep(2 * time.Second)
		if !finished(lost) {
			t.Error("the next of the attempt that lost has not returned")
		}
		wantCode(t, (<-got).err, codes.DeadlineExceeded)
	})
}

// TestSendEndsWithTheContext: SendMsg ends with the application's context, though an
// interceptor holds up the outcome.
func TestSendEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			defer sleep(time.Hour)
			return next(ctx, call)
		})
		unencodable := func(context.Context, any) error { return status.Error(codes.Internal, "cannot encode") }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		stream := start(ctx, t, hauberk.Must(hauberk.New(slow)).ClientConn(&scripts{open: alike(script{send: unencodable})}), hauberk.Bidi)
		wantCode(t, stream.SendMsg(message("a")), codes.Internal)
		if took := time.Since(began); took != time.Second {
			t.Errorf("SendMsg took %s", took)
		}
		wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.Internal)
	})
}

// TestConcurrentAttemptCannotSend: a concurrent attempt whose request cannot be sent
// ends at once, and so does one whose connection is closed.
func TestConcurrentAttemptCannotSend(t *testing.T) {
	hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		attempt := call.Attempt()
		err := next(ctx, attempt)
		call.Adopt(attempt)
		return err
	})
	for name, interceptors := range map[string][]hauberk.Interceptor{"alone": {hedge}, "adapter": {hedge, adapted()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				silent := &hauberktest.Backend{Handle: wait}
				conn := bare(t, silent, hauberk.Must(hauberk.New(interceptors...)).DialOptions()...)
				began := time.Now()
				stream := start(patient(t), t, conn, hauberk.ServerStream, grpc.MaxCallSendMsgSize(1))
				err := stream.SendMsg(message("too large"))
				if err == nil {
					err = stream.RecvMsg(new(testpb.Response))
				}
				wantCode(t, err, codes.ResourceExhausted)
				if name == "adapter" { // which may open another in RecvMsg
					return
				}
				over := false
				stream = start(patient(t), t, conn, hauberk.ServerStream, grpc.OnFinish(func(error) { over = true }))
				if err := errors.Join(stream.SendMsg(message("m")), stream.CloseSend()); err != nil {
					t.Fatal(err)
				}
				_ = conn.Close()
				synctest.Wait()
				if took := time.Since(began); took > 0 || !over {
					t.Errorf("after %s; OnFinish has run: %t", took, over)
				}
			})
		})
	}
}
