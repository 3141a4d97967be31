package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
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

// The tests of this file hold the rules of client streams f, g and i: hooks end with
// next, operations end with the call, locks are not held while foreign code runs, and
// counts belong to one attempt.

// Rule f.

// hooked is an interceptor with the same hook in one direction.
func hooked(direction string, hook func() error, around hauberk.Func) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if direction == "receive" {
			call.OnReceive(func(any) (bool, error) { return true, hook() })
		} else {
			call.OnSend(func(msg any, emit func(any) error) error {
				if err := hook(); err != nil {
					return err
				}
				return emit(msg)
			})
		}
		return around(ctx, call, next)
	})
}

// oneMessage is a script that answers with one message.
func oneMessage() script {
	var answered atomic.Bool
	return script{receive: func(ctx context.Context, _ any) error {
		if !answered.Swap(true) {
			return nil
		}
		return untilDone(ctx)
	}}
}

// TestNextWaitsForARunningHook: when the call's context ends while a hook runs, next
// returns after the hook, so that the two may share variables.
func TestNextWaitsForARunningHook(t *testing.T) {
	for _, direction := range []string{"send", "receive"} {
		t.Run(direction, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				inHook, goOn := make(chan struct{}), make(chan struct{})
				var once sync.Once
				var returned atomic.Bool
				uses := 0 // the race detector sees a hook that runs too late
				hook := func() error {
					once.Do(func() {
						close(inHook)
						<-goOn
					})
					uses++
					return nil
				}
				interceptor := hooked(direction, hook, func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					err := next(ctx, call)
					returned.Store(true)
					uses++
					return err
				})
				conn := hauberk.Must(hauberk.New(interceptor)).ClientConn(&scripts{open: alike(oneMessage())})
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				using := starts(func() {
					stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind))
					if err == nil {
						err = errors.Join(stream.SendMsg(message("a")), stream.CloseSend(), stream.RecvMsg(new(testpb.Response)))
					}
					_ = err // the transport had taken the message, and its answer had arrived
				})
				<-inHook
				cancel()
				synctest.Wait()
				if returned.Load() {
					t.Error("next returned while a hook was running")
				}
				close(goOn)
				<-using
				synctest.Wait()
				if !returned.Load() {
					t.Error("next did not return after the hook")
				}
			})
		})
	}
}

// TestNoHookStartsAfterNext: once next has returned, operations of the application run
// no hook.
func TestNoHookStartsAfterNext(t *testing.T) {
	ends := map[string]func(cancel context.CancelFunc) script{
		"cancelled": func(cancel context.CancelFunc) script {
			return script{receive: func(ctx context.Context, _ any) error { cancel(); return untilDone(ctx) }}
		},
		"OK": func(context.CancelFunc) script {
			return script{receive: func(context.Context, any) error { return io.EOF }}
		},
		"failed": func(context.CancelFunc) script {
			return script{receive: func(context.Context, any) error { return status.Error(codes.Aborted, "no") }}
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				var returned atomic.Bool
				look := func(direction string) hauberk.Interceptor {
					return hooked(direction, func() error {
						if returned.Load() {
							t.Errorf("a %s hook ran after next", direction)
						}
						return nil
					}, idle)
				}
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					defer returned.Store(true)
					return next(ctx, call)
				})
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				conn := hauberk.Must(hauberk.New(outer, look("send"), look("receive"))).ClientConn(&scripts{open: alike(end(cancel))})
				stream := start(ctx, t, conn, kind)
				if err := stream.SendMsg(message("a")); err != nil {
					t.Error(err)
				}
				if !kind.ClientStreams() {
					_ = stream.CloseSend()
				}
				if !settles(func() { _ = stream.RecvMsg(new(testpb.Response)) }) || !returned.Load() {
					t.Error("the call has not ended")
				}
				for range 2 {
					for _, op := range operations {
						if !settles(func() { _ = operate(stream, op) }) {
							t.Errorf("%s is blocked", op)
						}
					}
				}
			})
		})
	}
}

// TestHooksShareVariablesWithTheirInterceptor cancels calls at any moment: the race
// detector sees a hook that runs when next has returned.
func TestHooksShareVariablesWithTheirInterceptor(t *testing.T) {
	for _, direction := range []string{"send", "receive"} {
		kinds := uploadKinds
		if direction == "receive" {
			kinds = []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi}
		}
		for _, kind := range kinds {
			t.Run(direction+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				endless := script{receive: func(ctx context.Context, _ any) error {
					if ctx.Err() != nil {
						return untilDone(ctx)
					}
					return nil
				}}
				for range 100 {
					n := 0
					interceptor := hooked(direction, func() error { n++; return nil },
						func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
							err := next(ctx, call)
							n = -1
							return err
						})
					ctx, cancel := context.WithCancel(patient(t))
					stream := start(ctx, t, hauberk.Must(hauberk.New(interceptor)).ClientConn(&scripts{open: alike(endless)}), kind)
					go cancel()
					var err error
					for err == nil {
						if err = stream.SendMsg(message("a")); direction == "receive" {
							for err == nil {
								err = stream.RecvMsg(new(testpb.Response))
							}
						}
					}
					cancel()
				}
			})
		}
	}
}

// TestNextLeftBehind: when an interceptor returns while its next runs on another
// goroutine, that next ends with an error, the application gets the outcome of the
// chain, and the transport stream is cancelled.
func TestNextLeftBehind(t *testing.T) {
	for _, pending := range []bool{false, true} {
		t.Run(fmt.Sprint("pending=", pending), func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				served, left, goOn := make(chan error, 1), make(chan error, 1), make(chan struct{})
				backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					<-ctx.Done()
					served <- ctx.Err()
					return s.Send(response("too late"))
				}}
				early := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					go func() { left <- next(ctx, call) }()
					<-goOn
					return status.Error(codes.PermissionDenied, "too slow")
				})
				stream := start(patient(t), t, behind(t, backend, hauberk.Func(idle), early, hauberk.Func(idle)), kind)
				if err := stream.SendMsg(message("a")); err != nil {
					t.Error(err)
				}
				if !kind.ClientStreams() {
					_ = stream.CloseSend()
				}
				synctest.Wait()
				var end <-chan received
				if pending {
					end = receiving(stream)
					synctest.Wait()
				}
				close(goOn)
				synctest.Wait()
				if kind.ClientStreams() {
					if err := stream.SendMsg(message("b")); err == nil {
						t.Error("SendMsg after the end returned nil")
					}
				}
				if !pending {
					end = receiving(stream)
				}
				synctest.Wait()
				select {
				case got := <-end:
					if got.text != "" {
						t.Errorf("received %q", got.text)
					}
					wantCode(t, got.err, codes.PermissionDenied)
				default:
					t.Error("RecvMsg is blocked")
				}
				select {
				case err := <-left:
					if err == nil {
						t.Error("the next that was left behind returned nil")
					}
				default:
					t.Error("the next that was left behind is blocked")
				}
				select {
				case <-served: //nolint:errcheck // it is a signal
				default:
					t.Error("the transport stream is not cancelled")
				}
			})
		})
	}
}

// Rule g.

// TestPendingOperations: operations that are blocked when the call ends return,
// however it ends.
func TestPendingOperations(t *testing.T) {
	ends := map[string]func(end <-chan struct{}, cancel context.CancelFunc) hauberk.Func{
		"the application cancels": func(end <-chan struct{}, cancel context.CancelFunc) hauberk.Func {
			go func() { <-end; cancel() }()
			return idle
		},
		"an interceptor cancels": func(end <-chan struct{}, _ context.CancelFunc) hauberk.Func {
			return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				go func() { <-end; cancel() }()
				return next(ctx, call)
			}
		},
		"an interceptor returns early": func(end <-chan struct{}, _ context.CancelFunc) hauberk.Func {
			return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				go func() { _ = next(ctx, call) }()
				<-end
				return status.Error(codes.Aborted, "too slow")
			}
		},
	}
	inside := map[string][]hauberk.Interceptor{
		"no hooks": nil, "hooks": {passThrough()}, "retry": {retry(3)}, "retry and hooks": {passThrough(), retry(3), passThrough()}, "adapter": {adapted()},
	}
	for name, end := range ends {
		for with, interceptors := range inside {
			t.Run(name+"/"+with, func(t *testing.T) {
				bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
					conn := &scripts{open: alike(script{send: func(ctx context.Context, _ any) error { return untilDone(ctx) }})}
					if !kind.ClientStreams() {
						conn.open = alike(script{}) // the one request is taken
					}
					ctx, cancel := context.WithCancel(patient(t))
					defer cancel()
					ending := make(chan struct{})
					chain := hauberk.Must(hauberk.New(append([]hauberk.Interceptor{end(ending, cancel)}, interceptors...)...))
					stream := start(ctx, t, chain.ClientConn(conn), kind)
					pending := map[string]chan struct{}{}
					for _, op := range []string{"SendMsg", "RecvMsg", "Header"} {
						pending[op] = starts(func() { _ = operate(stream, op) })
					}
					close(ending)
					synctest.Wait()
					for op, done := range pending {
						if !finished(done) {
							t.Errorf("%s is blocked", op)
						}
					}
				})
			})
		}
	}
}

// TestOperationsAfterTheEnd: once the call has ended, no operation blocks, however it
// ended.
func TestOperationsAfterTheEnd(t *testing.T) {
	after := func(f func() error) hauberk.Func {
		return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return f()
		}
	}
	ended := func(context.Context, hauberktest.Stream) error { return status.Error(codes.Aborted, "no") }
	for name, c := range map[string]struct {
		handle       func(ctx context.Context, s hauberktest.Stream) error
		interceptors []hauberk.Interceptor
		cancels      bool
	}{
		"OK":                         {handle: hauberktest.Echo},
		"error":                      {handle: ended},
		"error with a retry":         {handle: ended, interceptors: []hauberk.Interceptor{retry(3)}},
		"retries used up":            {handle: failing(100).Handle, interceptors: []hauberk.Interceptor{passThrough(), retry(3), passThrough()}},
		"cancelled":                  {handle: wait, cancels: true},
		"cancelled with a retry":     {handle: wait, cancels: true, interceptors: []hauberk.Interceptor{retry(3)}},
		"send hook":                  {handle: wait, interceptors: []hauberk.Interceptor{sends(func(any, func(any) error) error { return hookRejection() })}},
		"receive hook":               {handle: hauberktest.Echo, interceptors: []hauberk.Interceptor{receives(func(any) (bool, error) { return true, hookRejection() })}},
		"send hook outside a retry":  {handle: wait, interceptors: []hauberk.Interceptor{sends(func(any, func(any) error) error { return errDown }), retry(3)}},
		"panic after next, guarded":  {handle: ended, interceptors: []hauberk.Interceptor{recoverer{}, after(func() error { panic("bomb") })}},
		"Goexit after next, guarded": {handle: ended, interceptors: []hauberk.Interceptor{recoverer{}, after(func() error { runtime.Goexit(); return nil })}},
		"reply after next": {handle: ended, interceptors: []hauberk.Interceptor{hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return call.Reply(response("fallback"))
		})}},
		"reply without next": {interceptors: []hauberk.Interceptor{hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			return call.Reply(response("fallback"))
		})}},
		"adapter": {handle: ended, interceptors: []hauberk.Interceptor{passThrough(), adapted(), passThrough()}},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				stream := start(ctx, t, behind(t, &hauberktest.Backend{Handle: c.handle}, c.interceptors...), kind)
				done := starts(func() {
					_ = stream.SendMsg(message("a"))
					_ = stream.CloseSend()
					for stream.RecvMsg(new(testpb.Response)) == nil && kind.ServerStreams() {
						continue
					}
				})
				if c.cancels {
					cancel()
					synctest.Wait()
				}
				if !finished(done) {
					t.Fatal("the call has not ended")
				}
				for range 2 {
					for _, op := range operations {
						if !settles(func() { _ = operate(stream, op) }) {
							t.Errorf("%s is blocked", op)
						}
					}
				}
			})
		})
	}
}

// TestOperationsAfterAPanic: a panic of the chain is raised in an operation of the
// application. No lock is held then: what the application defers runs, and every
// other operation returns.
func TestOperationsAfterAPanic(t *testing.T) {
	for _, end := range []string{"status", "cancel"} {
		for _, first := range []string{"SendMsg", "RecvMsg", "Header"} {
			for _, kind := range allKinds {
				if first == "SendMsg" && !kind.ClientStreams() {
					continue // the one request is sent before the end
				}
				t.Run(end+"/"+first+"/"+kind.String(), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					testOperationsAfterAPanic(t, end, first, kind)
				})
			}
		}
	}
}

func testOperationsAfterAPanic(t *testing.T, end, first string, kind hauberk.Kind) {
	bomb, over := errors.New("bomb"), make(chan struct{})
	x := explosive{"after next", func() {
		close(over)
		panic(bomb)
	}}
	backend := &hauberktest.Backend{Handle: wait}
	if end == "status" {
		backend.Handle = func(context.Context, hauberktest.Stream) error { return status.Error(codes.Aborted, "no") }
	}
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	stream := start(ctx, t, behind(t, backend, x), kind)
	if !kind.ClientStreams() {
		_ = stream.SendMsg(message("a"))
		_ = stream.CloseSend()
	}
	if end == "cancel" {
		cancel()
		<-over // the application has nothing of it yet
	}
	var value any
	if !within(t, first+" and the deferred CloseSend", func() {
		defer func() { value = recover() }()
		defer func() { _ = stream.CloseSend() }()
		for range 1000 {
			_ = operate(stream, first)
			runtime.Gosched()
		}
	}) {
		return
	}
	for _, op := range slices.Concat([]string{"RecvMsg"}, operations) {
		var later any
		if !within(t, op+" after the panic", func() { later = recovering(func() { _ = operate(stream, op) }) }) {
			return
		}
		if value == nil {
			value = later
		}
	}
	if value != any(bomb) {
		t.Errorf("the application saw a panic with %v, want the chain's", value)
	}
}

// TestFailureInAReplay: a hook that panics, fails or ends its goroutine while an
// attempt replays ends the call for everyone: for the application, the outer
// interceptors and the server.
func TestFailureInAReplay(t *testing.T) {
	bomb := errors.New("bomb")
	whats := map[string]func() error{
		"panic":  func() error { panic(bomb) },
		"Goexit": func() error { runtime.Goexit(); return nil },
		"error":  func() error { return status.Error(codes.Aborted, "in the replay") },
	}
	for name, do := range whats {
		for _, guarded := range []bool{true, false} {
			for _, kind := range uploadKinds {
				t.Run(fmt.Sprintf("%s/guarded=%t/%s", name, guarded, kind), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					var calls, sent atomic.Int64
					over := make(chan struct{})
					backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
						if calls.Add(1) == 1 {
							_, _ = s.Recv()
							return status.Error(codes.Unavailable, "restarting")
						}
						defer close(over)
						return wait(ctx, s)
					}}
					inner := hooked("send", func() error {
						if sent.Add(1) == 2 {
							return do()
						}
						return nil
					}, idle)
					outcomes := make(endings, 1)
					interceptors := []hauberk.Interceptor{outcomes, retry(3), inner}
					if guarded {
						interceptors = append([]hauberk.Interceptor{recoverer{}}, interceptors...)
					}
					ctx, cancel := context.WithCancel(patient(t))
					defer cancel()
					stream := start(ctx, t, behind(t, backend, interceptors...), kind)
					if err := stream.SendMsg(message("a")); err != nil {
						t.Error(err)
					}
					var err error
					var value any
					if !within(t, "RecvMsg", func() {
						value = recovering(func() { err = stream.RecvMsg(new(testpb.Response)) })
					}) {
						return
					}
					want := codes.Internal
					if name == "error" {
						want = codes.Aborted
					}
					if name == "panic" && !guarded {
						if value != any(bomb) {
							t.Errorf("RecvMsg: panic %v, error %v; want the panic", value, err)
						}
					} else {
						wantCode(t, err, want)
					}
					if guarded && name == "panic" || name == "error" { // Goexit runs no interceptor's code after next
						wantCode(t, <-outcomes, want)
					}
					for _, op := range operations {
						if !within(t, op, func() { _ = recovering(func() { _ = operate(stream, op) }) }) {
							return
						}
					}
					if calls.Load() == 2 {
						within(t, "the handler of the second attempt", func() { <-over })
					}
				})
			}
		}
	}
}

// TestNoLockIsHeld: while foreign code runs for one direction of a stream (a hook, or
// a stream of the transport or of an adapter), the operations of the other return.
func TestNoLockIsHeld(t *testing.T) {
	others := map[string][]string{"SendMsg": {"RecvMsg", "Header", "Trailer", "Context"}, "RecvMsg": {"SendMsg", "Header", "Trailer", "Context"}, "Header": {"SendMsg", "RecvMsg", "Trailer", "Context"}}
	for _, c := range []struct{ name, op string }{
		{"send hook", "SendMsg"}, {"receive hook", "RecvMsg"}, {"sending stream", "SendMsg"}, {"receiving stream", "RecvMsg"}, {"stream's header", "Header"},
	} {
		for _, with := range []string{"alone", "inside a retry"} {
			t.Run(c.name+"/"+with, func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				in, goOn := make(chan struct{}), make(chan struct{})
				var once sync.Once
				hold := func(here bool) {
					if here {
						once.Do(func() {
							close(in)
							<-goOn
						})
					}
				}
				s := script{
					send:    func(context.Context, any) error { hold(c.name == "sending stream"); return nil },
					receive: func(context.Context, any) error { hold(c.name == "receiving stream"); return nil },
					header: func(context.Context) (metadata.MD, error) {
						hold(c.name == "stream's header")
						return metadata.Pairs("k", "v"), nil
					},
				}
				hooks := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					call.OnSend(func(msg any, emit func(any) error) error { hold(c.name == "send hook"); return emit(msg) })
					call.OnReceive(func(any) (bool, error) { hold(c.name == "receive hook"); return true, nil })
					return next(ctx, call)
				})
				interceptors := []hauberk.Interceptor{hooks}
				if with == "inside a retry" {
					interceptors = []hauberk.Interceptor{retry(3), hooks}
				}
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				stream := start(ctx, t, hauberk.Must(hauberk.New(interceptors...)).ClientConn(&scripts{open: alike(s)}), hauberk.Bidi)
				var holding sync.WaitGroup
				holding.Go(func() { _ = operate(stream, c.op) })
				<-in
				for _, op := range others[c.op] {
					if !within(t, op, func() {
						if err := operate(stream, op); err != nil {
							t.Errorf("%s: %v", op, err)
						}
					}) {
						break
					}
				}
				close(goOn)
				holding.Wait()
				cancel()
				for stream.RecvMsg(new(testpb.Response)) == nil {
					continue
				}
			})
		}
	}
}

// TestAdapterOpensWhileTheCallEnds ends calls at the moment at which an interceptor of
// grpc-go opens its stream: the race detector sees what the two share.
func TestAdapterOpensWhileTheCallEnds(t *testing.T) {
	bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
		d := newDice(20)
		delay := func() time.Duration { return time.Duration(d.below(4)) * time.Microsecond }
		slow := hauberk.FromClient(
			func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				return invoke(ctx, method, req, resp, cc, opts...)
			},
			func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				time.Sleep(delay()) //nolint:forbidigo // synctest: the clock is fake
				return open(ctx, desc, cc, method, opts...)
			})
		touching := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.AddOptions(grpc.WaitForReady(true))
			return next(ctx, call)
		})
		conn := behind(t, &hauberktest.Backend{}, touching, slow, touching)
		for range 500 {
			ctx, cancel := context.WithTimeout(t.Context(), delay())
			if stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind)); err == nil {
				if stream.SendMsg(message("a")) == nil && stream.CloseSend() == nil {
					_ = drain(stream)
				}
			}
			cancel()
		}
	})
}

// Rule i.

// TestCountsBelongToOneAttempt: a send of an earlier attempt that fails late does not
// change the counts of the current one, and no count ever falls below zero.
func TestCountsBelongToOneAttempt(t *testing.T) {
	bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
		late := make(chan struct{})
		conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
			if n == 1 {
				sending := make(chan struct{})
				return &script{
					send: func(context.Context, any) error {
						close(sending)
						<-late
						return io.EOF
					},
					receive: func(context.Context, any) error {
						<-sending
						return status.Error(codes.Unavailable, "restarting")
					},
				}, nil
			}
			return &script{}, nil
		}}
		var call atomic.Pointer[hauberk.Call]
		counts := func(c *hauberk.Call) int64 {
			sent := c.Sent()
			if sent < 0 || kind.ServerStreams() && c.Received() < 0 { // which is safe for concurrent use there
				t.Errorf("sent %d, received %d", sent, c.Received())
			}
			return sent
		}
		look := hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
			call.Store(c)
			err := next(ctx, c)
			counts(c)
			return err
		})
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		stream := start(ctx, t, hauberk.Must(hauberk.New(look, retry(3), look)).ClientConn(conn), kind)
		end := receiving(stream)
		var sent error
		sending := starts(func() { sent = stream.SendMsg(message("a")) })
		counts(call.Load())
		close(late)
		<-sending
		synctest.Wait()
		if sent != nil {
			t.Errorf("SendMsg: %v", sent)
		}
		if got := counts(call.Load()); got != 1 {
			t.Errorf("the second attempt, which was sent one message, counts %d", got)
		}
		for n := int64(2); n < 5; n++ {
			if err := stream.SendMsg(message("b")); err != nil {
				t.Error(err)
			}
			if got := counts(call.Load()); got != n {
				t.Errorf("%d messages were sent, %d count", n, got)
			}
		}
		cancel()
		<-end
	})
}
