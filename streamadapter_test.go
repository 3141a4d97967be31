package hauberk_test

import (
	"context"
	"io"
	"slices"
	"sync"
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

// The tests of this file are about interceptors of grpc-go that open streams again, as
// that of go-grpc-middleware's retry does, and about chains around them.

// reopening is a stream that opens another when one of its server ends UNAVAILABLE.
type reopening struct {
	grpc.ClientStream

	mu   sync.Mutex
	open func() (grpc.ClientStream, error)
	req  any
}

func (r *reopening) current() grpc.ClientStream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ClientStream
}

func (r *reopening) SendMsg(msg any) error {
	r.mu.Lock()
	r.req = msg
	r.mu.Unlock()
	return r.current().SendMsg(msg)
}

func (r *reopening) CloseSend() error             { return r.current().CloseSend() }
func (r *reopening) Header() (metadata.MD, error) { return r.current().Header() }
func (r *reopening) Trailer() metadata.MD         { return r.current().Trailer() }
func (r *reopening) Context() context.Context     { return r.current().Context() }

func (r *reopening) RecvMsg(msg any) error {
	for {
		err := r.current().RecvMsg(msg)
		if status.Code(err) != codes.Unavailable {
			return err
		}
		again, err := r.open()
		if err != nil {
			return err
		}
		if err := again.SendMsg(r.req); err != nil {
			return err
		}
		if err := again.CloseSend(); err != nil {
			return err
		}
		r.mu.Lock()
		r.ClientStream = again
		r.mu.Unlock()
	}
}

func reopens(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	f := func() (grpc.ClientStream, error) { return open(ctx, desc, cc, method, opts...) }
	stream, err := f()
	if err != nil {
		return nil, err
	}
	return &reopening{ClientStream: stream, open: f}, nil
}

// opensAgain opens a stream a second time if the first could not be opened.
func opensAgain(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if stream, err := open(ctx, desc, cc, method, opts...); err == nil {
		return stream, nil
	}
	return open(ctx, desc, cc, method, opts...)
}

// fromStream is an adapter around an interceptor of streams.
func fromStream(f grpc.StreamClientInterceptor) hauberk.Interceptor {
	return hauberk.FromClient(
		func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx, method, req, resp, cc, opts...)
		}, f)
}

// rejectsFirst rejects the first call that reaches it.
func rejectsFirst() hauberk.Interceptor {
	passed := false
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if !passed {
			passed = true
			return status.Error(codes.ResourceExhausted, "not yet")
		}
		return next(ctx, call)
	})
}

// restarting is a backend whose first call fails, by f, and whose others answer a, b, c.
func restarting(f func(ctx context.Context) error) *hauberktest.Backend {
	var once sync.Once
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		err, failed := error(nil), false
		once.Do(func() { err, failed = f(ctx), true })
		if failed {
			return err
		}
		for _, text := range []string{"a", "b", "c"} {
			if err := s.Send(response(text)); err != nil {
				return err
			}
		}
		return nil
	}}
}

func unavailable(context.Context) error { return status.Error(codes.Unavailable, "restarting") }

// receivesABC checks that a stream receives the answers of restarting.
func receivesABC(t *testing.T, stream grpc.ClientStream) {
	t.Helper()
	var got []string
	for {
		resp := new(testpb.Response)
		err := stream.RecvMsg(resp)
		if err == io.EOF && slices.Equal(got, []string{"a", "b", "c"}) {
			return
		}
		if err != nil {
			t.Errorf("received %q, then %v", got, err)
			return
		}
		got = append(got, resp.GetText())
	}
}

// ask sends the single request of a stream.
func ask(t *testing.T, stream grpc.ClientStream) {
	t.Helper()
	if err := stream.SendMsg(message("q")); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

// TestUploadAroundAnAdapter: an upload whose server fails in the middle is made again with all
// of its messages, with anything between the retry and the transport.
func TestUploadAroundAnAdapter(t *testing.T) {
	for name, chain := range map[string][]hauberk.Interceptor{
		"no adapter":   {again(3)},
		"inside":       {again(3), adapted()},
		"inside hooks": {again(3), passThrough(), adapted()},
		"between":      {passThrough(), again(3), adapted(), passThrough()},
		"two":          {again(3), adapted(), adapted()},
		"two retries":  {again(3), adapted(), again(2), adapted()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &uploads{fail: failsOnce(1)}
				stream := start(patient(t), t, behind(t, u.backend(), chain...), hauberk.ClientStream)
				for i := range 3 {
					if err := stream.SendMsg(message(string(rune('a' + i)))); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				_ = stream.CloseSend()
				wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.OK)
				equal(t, "stored", u.of(u.calls()), []string{"a", "b", "c"})
			})
		})
	}
}

// TestAdapterOpensAgainInTheBackground: a stream that an adapter opens again, while the
// application is elsewhere, is received from, also if the type of its messages is not
// known before the application receives.
func TestAdapterOpensAgainInTheBackground(t *testing.T) {
	hasty := func() hauberk.Interceptor { // gives the first stream a second
		first := true
		return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if !first {
				return next(ctx, call)
			}
			first = false
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := next(ctx, call); status.Code(err) != codes.DeadlineExceeded {
				return err
			}
			return status.Error(codes.Unavailable, "slow")
		})
	}
	for _, method := range []string{hauberktest.FullMethod(hauberk.ServerStream), "/not.Registered/Stream"} {
		synctest.Test(t, func(t *testing.T) {
			backend := restarting(untilDone)
			unknown := grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
				return backend.ServerStream(nil, &grpc.GenericServerStream[testpb.Request, testpb.Response]{ServerStream: s})
			})
			conn := bareServer(t, backend, []grpc.ServerOption{unknown}, hauberk.Must(hauberk.New(fromStream(reopens), hasty())).DialOptions()...)
			stream, err := conn.NewStream(patient(t), descOf(hauberk.ServerStream), method)
			if err != nil {
				t.Fatal(err)
			}
			ask(t, stream)
			sleep(2 * time.Second) // the first has ended
			receivesABC(t, stream)
		})
	}
}

// TestHedgeAroundAnAdapter: a concurrent attempt behind an adapter that opens again
// receives into messages of the method's type, though the application asks for the
// header only.
func TestHedgeAroundAnAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			attempt := call.Attempt()
			err := next(ctx, attempt)
			call.Adopt(attempt)
			return err
		})
		stream := start(patient(t), t, behind(t, restarting(unavailable), hedge, fromStream(reopens)), hauberk.ServerStream)
		ask(t, stream)
		if _, err := stream.Header(); err != nil {
			t.Error(err)
		}
		receivesABC(t, stream)
	})
}

// TestChainDoesNotCommit: only the application commits a call; what the chain does when
// an adapter opens again does not.
func TestChainDoesNotCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		committed := false
		sees := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(msg any, emit func(any) error) error {
				committed = committed || call.Committed()
				return emit(msg)
			})
			return next(ctx, call)
		})
		u := &uploads{fail: failsOnce(1)}
		stream := start(patient(t), t, behind(t, u.backend(), fromStream(opensAgain), again(3), sees, rejectsFirst()), hauberk.ClientStream)
		for range 3 {
			synctest.Wait()
			if err := stream.SendMsg(message("m")); err != nil {
				t.Fatal(err)
			}
		}
		_ = stream.CloseSend()
		if err := stream.RecvMsg(new(testpb.Response)); err != nil || committed {
			t.Errorf("received %v; committed before: %t", err, committed)
		}
	})
}

// TestEndOfAReplacedStream: the error of a stream that an adapter has replaced is not
// that of the call.
func TestEndOfAReplacedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := &hauberktest.Backend{Handle: wait}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream := start(ctx, t, behind(t, backend, fromStream(opensAgain), rejectsFirst()), hauberk.ServerStream)
		ask(t, stream)
		sleep(2 * time.Second)
		wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.DeadlineExceeded)
	})
}

// TestPanicInsideAnAdapter: the interceptors outside of an adapter end when one inside
// panics, as they do without the adapter.
func TestPanicInsideAnAdapter(t *testing.T) {
	for name, between := range map[string][]hauberk.Interceptor{"plain": nil, "adapter": {adapted()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := false
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					defer func() { ended = true }()
					return next(ctx, call)
				})
				bad := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					_ = next(ctx, call)
					panic("bad")
				})
				stream := start(patient(t), t, behind(t, &hauberktest.Backend{}, slices.Concat([]hauberk.Interceptor{outer}, between, []hauberk.Interceptor{bad})...), hauberk.Bidi)
				ctx := stream.Context()
				_ = stream.CloseSend()
				raised := func() (v any) {
					defer func() { v = recover() }()
					for stream.RecvMsg(new(testpb.Response)) == nil {
						continue
					}
					return nil
				}()
				synctest.Wait()
				if raised != "bad" || !ended || ctx.Err() == nil {
					t.Errorf("raised %v; outer interceptor ended: %t; context: %v", raised, ended, ctx.Err())
				}
			})
		})
	}
}

// fixedContext is a stream that returns the context of its call.
type fixedContext struct {
	grpc.ClientStream

	ctx context.Context
}

func (f fixedContext) Context() context.Context { return f.ctx }

// TestClosedConnBehindAFixedContext: ClientConn.Close ends a call also if an adapter's
// stream does not return the context of grpc-go's.
func TestClosedConnBehindAFixedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fix := fromStream(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			stream, err := open(ctx, desc, cc, method, opts...)
			return fixedContext{stream, ctx}, err
		})
		conn := bare(t, &hauberktest.Backend{}, hauberk.Must(hauberk.New(fix)).DialOptions()...)
		over := false
		stream := start(patient(t), t, conn, hauberk.Bidi, grpc.OnFinish(func(error) { over = true }))
		_ = stream.SendMsg(message("a"))
		_ = stream.RecvMsg(new(testpb.Response))
		_ = conn.Close()
		synctest.Wait()
		if !over {
			t.Error("OnFinish has not run")
		}
	})
}

// TestAdapterWithoutLocks: the chain calls the stream of an adapter on no goroutine but
// the application's while a stream inside it goes on.
func TestAdapterWithoutLocks(t *testing.T) {
	var n int
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return status.Error(codes.Unavailable, "x")
	}}
	conn := behind(t, backend, fromStream(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		f := func() (grpc.ClientStream, error) { return open(ctx, desc, cc, method, opts...) }
		stream, err := f()
		return &unlocked{ClientStream: stream, open: f, left: 20}, err
	}))
	for range 20 {
		stream := start(patient(t), t, conn, hauberk.ServerStream)
		ask(t, stream)
		for stream.RecvMsg(new(testpb.Response)) == nil {
			n++
		}
	}
	if n != 0 {
		t.Errorf("%d messages came", n)
	}
}

// unlocked is like reopening, for applications that use one goroutine.
type unlocked struct {
	grpc.ClientStream

	open func() (grpc.ClientStream, error)
	req  any
	left int
}

func (u *unlocked) SendMsg(msg any) error {
	u.req = msg
	return u.ClientStream.SendMsg(msg)
}

func (u *unlocked) RecvMsg(msg any) error {
	for {
		err := u.ClientStream.RecvMsg(msg)
		u.left--
		if status.Code(err) != codes.Unavailable || u.left < 0 {
			return err
		}
		again, err := u.open()
		if err != nil {
			return err
		}
		if err := again.SendMsg(u.req); err != nil {
			return err
		}
		_ = again.CloseSend()
		u.ClientStream = again
	}
}

// lazily opens a stream with its first message.
func lazily(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return &lazy{ctx: ctx, open: func() (grpc.ClientStream, error) { return open(ctx, desc, cc, method, opts...) }}, nil
}

type lazy struct {
	grpc.ClientStream

	ctx  context.Context
	open func() (grpc.ClientStream, error)
}

func (l *lazy) Context() context.Context { return l.ctx }

func (l *lazy) SendMsg(msg any) (err error) {
	if l.ClientStream == nil {
		if l.ClientStream, err = l.open(); err != nil {
			return err
		}
	}
	return l.ClientStream.SendMsg(msg)
}

// TestOpeningInSendFails: SendMsg returns the error of a stream that an adapter cannot
// open in it, at once.
func TestOpeningInSendFails(t *testing.T) {
	for name, chain := range map[string][]hauberk.Interceptor{
		"alone": {fromStream(lazily)}, "hooks": {passThrough(), fromStream(lazily), passThrough()}, "retry": {again(2), fromStream(lazily)},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
				down := &scripts{open: func(context.Context, int) (*script, error) { return nil, status.Error(codes.Unavailable, "down") }}
				stream := start(patient(t), t, hauberk.Must(hauberk.New(chain...)).ClientConn(down), kind)
				began := time.Now()
				wantCode(t, stream.SendMsg(message("a")), codes.Unavailable)
				if took := time.Since(began); took > 0 {
					t.Errorf("SendMsg took %s", took)
				}
			})
		})
	}
}

// TestHeaderOfAnUnknownMethod: Header behind an adapter ends with the call, also if the
// type of its messages is not known.
func TestHeaderOfAnUnknownMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream, err := behind(t, &hauberktest.Backend{}, adapted()).NewStream(patient(t), descOf(hauberk.Bidi), "/not.Registered/Stream")
		if err != nil {
			t.Fatal(err)
		}
		if !settles(func() { _, _ = stream.Header() }) {
			t.Error("Header is blocked")
		}
		wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.Unimplemented)
	})
}

// Values of attempts that an interceptor sets inside of an adapter are those of the call, of each kind, as an outer
// interceptor reads them.
func TestAttemptValuesInsideAnAdapter(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var got int
			outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				got, _ = innerAttempt.Get(call)
				return err
			}
			counting := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				n, _ := innerAttempt.Get(call)
				innerAttempt.Set(call, n+1)
				return next(ctx, call)
			}
			adapter := hauberk.FromClient(hauberk.PassUnaryClient, hauberk.PassStreamClient)
			env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, failing(2).Backend,
				hauberk.Func(outer), adapter, retry(3), adapter, hauberk.Func(counting))
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			if got != 3 {
				t.Errorf("the value is %d after 3 attempts", got)
			}
		})
	}
}
