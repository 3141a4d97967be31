package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// wantInternal expects an INTERNAL error that says something.
func wantInternal(t *testing.T, err error, says string) {
	t.Helper()
	wantCode(t, err, codes.Internal)
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%v; want it to say %q", err, says)
	}
}

// nextCall is a next with what it was given, for a test that calls it again.
type nextCall struct {
	ctx  context.Context
	call *hauberk.Call
	next hauberk.Next
}

func (n nextCall) run() error { return n.next(n.ctx, n.call) }

// TestNoNext has an interceptor that neither calls next nor replies nor fails.
func TestNoNext(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		lazy := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return nil })
		out := c.Start(t, lazy).Call(patient(t))
		if c.Kind.ServerStreams() {
			wantCode(t, out.Err, codes.OK)
			equal(t, "responses", out.Texts(), nil)
		} else {
			wantInternal(t, out.Err, "without a response")
		}
	})
}

// TestNextTwiceOnAServer calls next again: the handler runs once, and the interceptor may
// still return the first outcome.
func TestNextTwiceOnAServer(t *testing.T) {
	for name, pick := range map[string]func(first, second error) error{
		"the first outcome":  func(first, _ error) error { return first },
		"the second outcome": func(_, second error) error { return second },
	} {
		t.Run(name, func(t *testing.T) {
			perKind(t, func(t *testing.T, c hauberktest.Case) {
				var j journal
				twice := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					first := next(ctx, call)
					second := next(ctx, call)
					wantInternal(t, second, "twice")
					return pick(first, second)
				})
				out := c.Start(t, twice, j.tag("inner")).Call(patient(t))
				equal(t, "journal", j.all(), []string{"inner in", "inner out OK"})
				if err := pick(nil, errors.New("second")); err != nil {
					wantInternal(t, out.Err, "twice")
					return
				}
				wantCode(t, out.Err, codes.OK)
				equal(t, "responses", out.Texts(), []string{"echo:hello"})
			})
		})
	}
}

// TestNextWhileItRuns calls next again while it is still running, from the handler.
func TestNextWhileItRuns(t *testing.T) {
	perKind(t, func(t *testing.T, c hauberktest.Case) {
		var again nextCall
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			again = nextCall{ctx, call, next}
			return next(ctx, call)
		})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			wantInternal(t, again.run(), "still running")
			return hauberktest.Echo(ctx, s)
		}}
		out := c.StartWith(t, backend, hauberk.Func(idle), interceptor, hauberk.Func(idle)).Call(patient(t))
		wantCode(t, out.Err, codes.OK)
		equal(t, "responses", out.Texts(), []string{"echo:hello"})
	})
}

// TestNextTooLate calls next when its interceptor has returned and the call has not ended,
// and again when it has.
func TestNextTooLate(t *testing.T) {
	for _, called := range []bool{false, true} {
		t.Run(fmt.Sprintf("called before=%t", called), func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var j journal
				late := make(chan nextCall, 1)
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					err := next(ctx, call)
					n := <-late
					outcome := make(chan error)
					go func() { outcome <- n.run() }()
					wantInternal(t, <-outcome, "after its interceptor had returned")
					late <- n
					return err
				})
				interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					late <- nextCall{ctx, call, next}
					if called {
						return next(ctx, call)
					}
					return call.Reply(response("reply"))
				})
				env := c.Start(t, outer, interceptor, j.tag("inner"))
				wantCode(t, env.Call(patient(t)).Err, codes.OK)
				env.Server.GracefulStop()
				wantInternal(t, (<-late).run(), "after its call had ended")
				if called {
					equal(t, "journal", j.all(), []string{"inner in", "inner out OK"})
				} else {
					equal(t, "journal", j.all(), nil)
				}
			})
		})
	}
}

// TestNextOfAnOuterInterceptor calls the next of another interceptor.
func TestNextOfAnOuterInterceptor(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var outer hauberk.Next
		out := c.Start(t,
			hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				outer = next
				return next(ctx, call)
			}),
			hauberk.Func(func(ctx context.Context, call *hauberk.Call, _ hauberk.Next) error { return outer(ctx, call) }),
		).Call(patient(t))
		wantInternal(t, out.Err, "still running")
	})
}

// TestNextOfNothing gives next a nil Call.
func TestNextOfNothing(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		out := c.Start(t,
			hauberk.Func(func(ctx context.Context, _ *hauberk.Call, next hauberk.Next) error { return next(ctx, nil) }),
			j.tag("inner"),
		).Call(patient(t))
		wantInternal(t, out.Err, "nil Call")
		equal(t, "journal", j.all(), nil)
	})
}

// TestNextOfAnotherCall gives next a call that is running elsewhere, and one that
// has ended.
func TestNextOfAnotherCall(t *testing.T) {
	perKind(t, func(t *testing.T, c hauberktest.Case) {
		first, release := make(chan *hauberk.Call, 1), make(chan struct{})
		var calls atomic.Int64
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if calls.Add(1) == 1 {
				first <- call
				return next(ctx, call)
			}
			other := <-first
			first <- other
			return next(ctx, other)
		})
		running := make(chan struct{})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			close(running)
			<-release
			return hauberktest.Echo(ctx, s)
		}}
		env := c.StartWith(t, backend, interceptor)
		outcome := make(chan hauberktest.Outcome)
		go func() { outcome <- env.Call(patient(t)) }()
		<-running
		wantInternal(t, env.Call(patient(t)).Err, "still running")
		close(release)
		out := <-outcome
		wantCode(t, out.Err, codes.OK)
		equal(t, "responses", out.Texts(), []string{"echo:hello"})
		if c.Kind.ServerStreams() { // its chain is over when the client has the status
			wantInternal(t, env.Call(patient(t)).Err, "after its call had ended")
		}
	})
}

// TestCopiesOnAServer gives next a copy, and adopts it.
func TestCopiesOnAServer(t *testing.T) {
	perKind(t, func(t *testing.T, c hauberktest.Case) {
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			attempt := call.Attempt()
			err := next(ctx, attempt)
			wantInternal(t, err, "copy of a call on a server")
			call.Adopt(attempt)
			return next(ctx, call)
		})
		out := c.Start(t, interceptor).Call(patient(t))
		wantCode(t, out.Err, codes.OK)
		equal(t, "responses", out.Texts(), []string{"echo:hello"})
	})
}

// faults is what a random call does, on each side of it.
type faults struct {
	server, client, handler int
	end                     int
}

// TestRandomFaults makes ten thousand calls with faults of all sorts at once. What
// comes of them is checked elsewhere; here each must end, and leave nothing.
func TestRandomFaults(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const calls, workers = 10_000, 16
	envs := make(map[hauberk.Kind]*hauberktest.Env)
	for _, kind := range allKinds {
		envs[kind] = hauberktest.Start(t, hauberktest.Setup{
			Kind:    kind,
			Backend: &hauberktest.Backend{Handle: faultyHandler},
			Server:  hauberk.Must(hauberk.New(passThrough(), recoverer{}, faulty("server"), hauberk.Func(idle))),
			Client:  hauberk.Must(hauberk.New(passThrough(), recoverer{}, faulty("client"), hauberk.Func(idle))),
		})
	}
	var ended atomic.Int64
	var group sync.WaitGroup
	for w := range workers {
		random := testseed.Rand(t, uint64(w))
		group.Go(func() {
			for range calls / workers {
				f := faults{random.IntN(12), random.IntN(12), random.IntN(6), random.IntN(6)}
				f.call(patient(t), envs[allKinds[random.IntN(4)]], random)
				ended.Add(1)
			}
		})
	}
	group.Wait()
	if got := ended.Load(); got != calls {
		t.Errorf("%d calls ended, want %d", got, calls)
	}
}

// call makes a call that may be cancelled or run out of time.
func (f faults) call(ctx context.Context, env *hauberktest.Env, random *rand.Rand) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.end > 1 && f.handler == handlerWaits {
		f.handler++
	}
	switch f.end {
	case 0:
		time.AfterFunc(time.Duration(random.IntN(500))*time.Microsecond, cancel)
	case 1:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(1000))*time.Microsecond)
		defer cancel()
	}
	env.Call(metadata.AppendToOutgoingContext(ctx, "server", fmt.Sprint(f.server), "client", fmt.Sprint(f.client), "handler", fmt.Sprint(f.handler)),
		"a", "b", "c")
}

const handlerWaits = 2 // for the end of the call

func faultyHandler(ctx context.Context, s hauberktest.Stream) error {
	switch md, _ := metadata.FromIncomingContext(ctx); md.Get("handler")[0] {
	case "0":
		return status.Error(codes.Unavailable, "fault")
	case "1":
		panic("fault")
	case "2":
		<-ctx.Done()
		return ctx.Err()
	default:
		return hauberktest.Echo(ctx, s)
	}
}

// faulty is an interceptor that does what the metadata under its name says.
func faulty(name string) hauberk.Interceptor {
	failing := errors.New("fault")
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		switch call.Metadata(ctx, name)[0] {
		case "0":
			return hauberk.Reject(codes.ResourceExhausted, "FAULT", "fault")
		case "1":
			return call.Reply(response("reply"))
		case "2":
			return nil
		case "3":
			call.OnSend(func(any, func(any) error) error { return failing })
		case "4":
			call.OnReceive(func(any) (bool, error) { return false, failing })
		case "5":
			call.OnSend(func(any, func(any) error) error { return nil })
		case "6":
			call.OnReceive(func(any) (bool, error) { panic("fault") })
		case "7":
			panic("fault")
		case "8":
			_ = next(ctx, call)
			return next(ctx, call)
		}
		return next(ctx, call)
	})
}
