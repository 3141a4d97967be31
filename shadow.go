package hauberk

import (
	"context"
	"errors"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// Shadow lets a deciding interceptor decide without enforcing: a call that it
// would reject goes on, and the rejection is recorded ([Call.Decisions]) and
// counted ([Shadowed.Rejections]). The interceptor works on a copy of the call, so
// that its reply, its hooks' errors and the context it passes on have no effect;
// state and response metadata that it sets stay. A panic of the interceptor is recorded as a
// rejection with the reason PANIC, and passed to the [Guard] of the chain. [New] rejects a Shadow around an
// interceptor that does not decide: one that acts on calls cannot be shadowed.
//
// A call does not wait for the interceptor to read its first message ([Call.ReadFirst]) if it
// streams requests. The interceptor decides when the handler receives that message; a call
// whose handler receives none is not judged.
func Shadow(x Interceptor) *Shadowed {
	inner, _ := unname(x)
	return &Shadowed{inner: inner, declared: x, name: declarationOf(x).Name}
}

// Shadowed is an interceptor in shadow.
type Shadowed struct {
	inner      Interceptor
	declared   Interceptor // inner, with the declarations that it was given
	name       string
	rejections atomic.Int64
}

// Rejections returns how many calls would have been rejected so far. Safe for
// concurrent use.
func (s *Shadowed) Rejections() int64 { return s.rejections.Load() }

// Declare returns the declaration of the inner interceptor, without authentication.
func (s *Shadowed) Declare() Declaration {
	d := declarationOf(s.declared)
	d.Name = s.name
	if err := checkSingle(s.inner); err != nil {
		d.Err = err
	}
	if d.Err == nil && !d.Decides {
		d.Err = errors.New("it acts on calls rather than deciding on them, so it cannot be put in Shadow")
	}
	d.Authenticates = false
	return d
}

// Intercept runs the inner interceptor, and the rest of the chain even if that rejects the
// call. The outcome is that of the rest.
func (s *Shadowed) Intercept(ctx context.Context, call *Call, next Next) error {
	return s.run(ctx, call, next, s.name)
}

// shadowInterceptor is an interceptor in shadow under the name that its chain gives it.
type shadowInterceptor struct {
	*Shadowed

	name string
}

// Intercept is that of [Shadowed].
func (l *shadowInterceptor) Intercept(ctx context.Context, call *Call, next Next) error {
	return l.run(ctx, call, next, l.name)
}

func (s *Shadowed) run(ctx context.Context, call *Call, next Next, name string) error {
	r := &shadowRun{terminal: call.end, of: s, name: name, call: call, shown: call.Attempt(), next: next}
	r.shown.end, r.shown.dryRun = r, r
	if call.side == ServerSide && call.kind.ClientStreams() {
		return r.runFirst(ctx)
	}
	verdict := r.decide(ctx, func() error { return r.pass(ctx) })
	if !r.passed {
		if r.panicked == nil {
			r.reject(verdict)
		}
		return next(ctx, call)
	}
	if r.unwinds != nil {
		panic(r.unwinds) // of what is inside
	}
	if rejection := RejectionOf(verdict); rejection != nil && rejection != RejectionOf(r.outcome) {
		r.reject(verdict)
	}
	return r.outcome
}

// shadowRun is one call's way through an interceptor in dry run. It is the terminal
// of the copy that the interceptor gets.
type shadowRun struct {
	terminal // of the call

	of       *Shadowed
	name     string
	call     *Call
	shown    *Call
	next     Next
	passed   bool  // the interceptor called next
	outcome  error // of next
	unwinds  any   // a panic of next
	panicked any   // a panic of the interceptor
	rejected atomic.Bool
	recorded bool // the interceptor recorded a rejection; guarded by the mutex of the call's state
}

// decide runs the interceptor on its copy, with pass as its next. A panic of the interceptor is
// contained.
func (r *shadowRun) decide(ctx context.Context, pass func() error) (verdict error) {
	defer func() {
		if v := recover(); v != nil && r.unwinds == nil {
			r.panicked = v
			r.contain(ctx, v)
		}
	}()
	return r.of.inner.Intercept(context.WithValue(ctx, callKey{}, r.shown), r.shown,
		func(context.Context, *Call) error { return pass() })
}

// contain records a panic of the interceptor as a rejection with the reason PANIC. A Guard of
// the chain receives it, as it receives those of other interceptors; the call goes on.
func (r *shadowRun) contain(ctx context.Context, v any) {
	r.reject(errShadowPanic)
	if plan := r.call.plan; plan.guard != nil {
		_ = plan.recovered(ctx, r.call, v)
	}
}

var errShadowPanic error = Reject(codes.Internal, "PANIC", "an interceptor in dry run panicked")

// pass runs what is inside, once.
func (r *shadowRun) pass(ctx context.Context) error {
	if r.passed {
		return r.outcome
	}
	r.passed = true
	r.watch()
	returned := false
	defer func() {
		if !returned {
			if r.unwinds = recover(); r.unwinds != nil {
				panic(r.unwinds)
			}
		}
	}()
	r.outcome = r.next(ctx, r.call)
	returned = true
	r.shown.Adopt(r.call)
	return r.outcome
}

// read reads the request of the call itself. It does not make a stream wait.
func (r *shadowRun) read(ctx context.Context, _ *Call) (any, error) {
	if r.call.side == ClientSide && r.call.kind.ClientStreams() {
		return nil, errInternal("ReadFirst in dry run would make a client's stream wait for its first request")
	}
	if end, ok := r.terminal.(reader); ok {
		return end.read(ctx, r.call)
	}
	return r.call.request, nil
}

// conn is that of the call, for [Call.Target].
func (r *shadowRun) conn() *grpc.ClientConn {
	if end, ok := r.terminal.(caller); ok {
		return end.conn()
	}
	return nil
}

// again says no: an interceptor in dry run makes no attempts.
func (r *shadowRun) again(*Call, int32) bool { return false }

// reject counts and records what would have been a rejection, once a call.
func (r *shadowRun) reject(err error) {
	if !r.rejected.CompareAndSwap(false, true) {
		return
	}
	r.of.rejections.Add(1)
	if !r.hasRecorded() {
		r.shown.Decide(Decision{Interceptor: r.name, Verdict: Rejected, Reason: Reason(err)})
	}
}

func (r *shadowRun) hasRecorded() bool {
	state := r.call.state()
	state.mu.Lock()
	defer state.mu.Unlock()
	return r.recorded
}

// watch lets the hooks that the interceptor registered on its copy see the call's
// messages, and asks for what it asked for.
func (r *shadowRun) watch() {
	r.call.counts = r.call.counts || r.shown.counts
	r.call.captures = r.call.captures || r.shown.captures
	own := r.shown.prepared
	if own == nil {
		return
	}
	if own.bad != nil {
		r.reject(own.bad)
	}
	for _, hook := range own.send {
		r.call.OnSendContext(r.watchSend(hook))
	}
	for _, hook := range own.receive {
		r.call.OnReceiveContext(r.watchReceive(hook))
	}
}

func (r *shadowRun) watchSend(hook sendHook) SendContextHook {
	return func(ctx context.Context, msg any, emit func(any) error) error {
		r.try(func() error { return hook.run(ctx, msg, func(any) error { return nil }) })
		return emit(msg)
	}
}

func (r *shadowRun) watchReceive(hook receiveHook) ReceiveContextHook {
	return func(ctx context.Context, msg any) (keep bool, err error) {
		r.try(func() error {
			_, err := hook.run(ctx, msg)
			return err
		})
		return true, nil
	}
}

// try shows a hook how many messages there were so far, runs it and contains its
// panic.
func (r *shadowRun) try(hook func() error) {
	defer func() {
		if v := recover(); v != nil {
			r.contain(r.call.ctx.Context, v)
		}
	}()
	r.shown.sent.Store(r.call.sent.Load())
	r.shown.received.Store(r.call.received.Load())
	if err := hook(); err != nil {
		r.reject(err)
	}
}
