package hauberk_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestNextTwiceAtOnce calls next from two goroutines at once: one runs the call,
// the other gets an error.
func TestNextTwiceAtOnce(t *testing.T) {
	interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		outcomes := make([]error, 2)
		var ready atomic.Int64
		var both sync.WaitGroup
		for i := range outcomes {
			both.Go(func() {
				ready.Add(1)
				for spins := 0; ready.Load() < 2; spins++ {
					if spins > 1_000 { // as close together as can be
						runtime.Gosched()
					}
				}
				outcomes[i] = next(ctx, call)
			})
		}
		both.Wait()
		if outcomes[0] != nil {
			outcomes[0], outcomes[1] = outcomes[1], outcomes[0]
		}
		wantInternal(t, outcomes[1], "next was called")
		return outcomes[0]
	})
	call := unaryHandler(hauberk.Must(hauberk.New(interceptor)))
	for range 5_000 {
		if err := call(); err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
}

// TestNextWithoutContext gives next a nil context.
func TestNextWithoutContext(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		var none context.Context
		out := c.Start(t,
			hauberk.Func(func(_ context.Context, call *hauberk.Call, next hauberk.Next) error { return next(none, call) }),
			j.tag("inner"),
		).Call(patient(t))
		wantInternal(t, out.Err, "nil context")
		equal(t, "journal", j.all(), nil)
	})
}

// TestNextWithAnotherCall gives next a Call that is not the interceptor's.
func TestNextWithAnotherCall(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		out := c.Start(t,
			hauberk.Func(func(ctx context.Context, _ *hauberk.Call, next hauberk.Next) error { return next(ctx, &hauberk.Call{}) }),
			j.tag("inner"),
		).Call(patient(t))
		wantInternal(t, out.Err, "a Call that is not its interceptor's")
		equal(t, "journal", j.all(), nil)
	})
}

// TestNextInsideNext calls next from a hook that next itself runs, on the way in.
func TestNextInsideNext(t *testing.T) {
	hauberktest.CheckLeaks(t)
	interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error {
			wantInternal(t, next(ctx, call), "still running")
			return emit(msg)
		})
		return next(ctx, call)
	})
	var j journal
	out := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Unary}.StartWith(t, recorder(&j), interceptor).Call(patient(t), "q")
	wantCode(t, out.Err, codes.OK)
	equal(t, "requests", j.all(), []string{"q"})
}

// silentGuard recovers panics and has nothing to say.
type silentGuard struct{ hauberk.Func }

func (silentGuard) Recovered(context.Context, *hauberk.Call, any, []byte) error { return nil }

// TestGuardThatReturnsNil makes nothing of panics: they are never an accidental OK.
func TestGuardThatReturnsNil(t *testing.T) {
	for _, place := range interceptorPlaces {
		t.Run(place, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				x := explosive{place, func() { panic("bomb") }}
				wantCode(t, c.Start(t, silentGuard{idle}, x).Call(patient(t)).Err, codes.Internal)
			})
		})
	}
}

// endingConn is a connection on which the call is cancelled while the transport is
// busy. The chain must not have ended by then.
type endingConn struct {
	stubConn

	t       *testing.T
	opening bool // while the stream is opened; otherwise while the response comes
	cancel  context.CancelFunc
	ended   atomic.Bool // set by the innermost interceptor, after next
}

func (e *endingConn) end() {
	e.cancel()
	runtime.Gosched()
	if e.ended.Load() {
		e.t.Error("next returned while the application's goroutine was in the transport")
	}
}

func (e *endingConn) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	if e.opening {
		e.end()
		return nil, ctx.Err()
	}
	return &endingStream{stubStream{ctx: ctx, left: 1}, e}, nil
}

type endingStream struct {
	stubStream

	conn *endingConn
}

func (s *endingStream) RecvMsg(any) error {
	s.conn.end()
	return s.ctx.Err()
}

// TestCancelledWhileOpening and TestCancelledWhileReceiving end a call's context
// while the application's goroutine is in the transport: next returns after that
// goroutine has, so that the two share nothing (the race detector checks it).
func TestCancelledWhileOpening(t *testing.T) { cancelledWhile(t, hauberk.ServerStream, true) }

func TestCancelledWhileReceiving(t *testing.T) { cancelledWhile(t, hauberk.ClientStream, false) }

func cancelledWhile(t *testing.T, kind hauberk.Kind, opening bool) {
	hauberktest.CheckLeaks(t)
	for range 100 {
		ctx, cancel := context.WithCancel(patient(t))
		conn := &endingConn{t: t, opening: opening, cancel: cancel}
		tell := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			defer conn.ended.Store(true)
			return next(ctx, call)
		})
		stream, err := hauberk.Must(hauberk.New(passThrough(), tell)).ClientConn(conn).NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind))
		if err == nil {
			err = stream.SendMsg(&testpb.Request{})
		}
		if err == nil {
			err = stream.CloseSend()
		}
		if err == nil {
			err = stream.RecvMsg(new(testpb.Response))
		}
		wantCode(t, err, codes.Canceled)
	}
}

// TestOwnRecoveryEndsACall: an interceptor that recovers a panic of inner ones by itself
// ends a call on a client with the error that it returns: next of outer interceptors
// returns that error again, and CanAttempt reports false.
func TestOwnRecoveryEndsACall(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			runs := 0
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.Replayable(1 << 10)
				wantCode(t, next(ctx, call), codes.Unavailable)
				if call.CanAttempt() {
					t.Error("CanAttempt reports true")
				}
				return next(ctx, call)
			})
			recovers := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) (err error) {
				defer func() {
					if v := recover(); v != nil {
						err = status.Errorf(codes.Unavailable, "recovered %v", v)
					}
				}()
				return next(ctx, call)
			})
			panics := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
				runs++
				panic("once")
			})
			env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.Start(t, outer, recovers, panics)
			wantCode(t, env.Call(patient(t)).Err, codes.Unavailable)
			if runs != 1 {
				t.Errorf("the inner interceptor ran %d times", runs)
			}
		})
	}
}

// TestHookOfAnInterceptorLeftBehind: an interceptor that still runs when an outer one has returned registers
// a hook. That is not the fault of the interceptors outside, which have answered the call.
func TestHookOfAnInterceptorLeftBehind(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			left, registered := make(chan struct{}), make(chan struct{})
			answers := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				wantCode(t, next(ctx, call), codes.Aborted)
				close(left)
				<-registered
				return call.Reply(response("answer"))
			})
			started := make(chan struct{})
			leaves := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				go func() { _ = next(ctx, call) }()
				<-started
				return status.Error(codes.Aborted, "returns early")
			})
			registers := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				defer close(registered)
				close(started)
				<-left
				call.OnReceive(func(any) (bool, error) { return true, nil })
				return nil
			})
			out := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.Start(t, answers, leaves, registers).Call(patient(t))
			wantCode(t, out.Err, codes.OK)
			equal(t, "responses", out.Texts(), []string{"answer"})
		})
	}
}

// An interceptor returns while an inner one is about to call next: no data race, and the call has its error.
func TestNextDuringReturn(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		type turn struct{ inside, release, done chan struct{} }
		var now atomic.Pointer[turn]
		wait := 0
		errGivenUp := status.Error(codes.Aborted, "given up")
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			n := now.Load()
			go func() {
				defer close(n.done)
				_ = next(ctx, call)
			}()
			<-n.inside
			close(n.release)
			return errGivenUp
		})
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			n := now.Load()
			close(n.inside)
			<-n.release
			for range wait {
				runtime.Gosched()
			}
			return next(ctx, call)
		})
		env := c.Start(t, outer, inner)
		for i := range 60 {
			n := &turn{make(chan struct{}), make(chan struct{}), make(chan struct{})}
			wait = i * 20
			now.Store(n)
			if err := env.Call(t.Context(), "a").Err; status.Code(err) != codes.Aborted {
				t.Errorf("%v; want that of the outer interceptor", err)
			}
			<-n.done
		}
	})
}
