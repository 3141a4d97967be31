package hauberk

import (
	"context"
	"errors"
	"sync/atomic"

	"google.golang.org/grpc"
)

// Shadow lets a deciding interceptor decide without enforcing: a call that it
// would refuse goes on, and the refusal is recorded ([Call.Decisions]) and
// counted ([Shadowed.Refusals]). The interceptor works on a copy of the call, so
// that its reply, its hooks' errors and the context it passes on have no effect;
// state and response metadata that it sets stay. [New] refuses a Shadow around an
// interceptor that does not decide: one that acts on calls cannot be shadowed.
func Shadow(x Interceptor) *Shadowed {
	name := declarationOf(x).Name
	x, _ = unname(x)
	return &Shadowed{inner: x, name: name}
}

// Shadowed is an interceptor in shadow.
type Shadowed struct {
	inner    Interceptor
	name     string
	refusals atomic.Int64
}

// Refusals returns how many calls would have been refused so far. Safe for
// concurrent use.
func (s *Shadowed) Refusals() int64 { return s.refusals.Load() }

// Declare says what the inner interceptor says, without its powers.
func (s *Shadowed) Declare() Declaration {
	d := declarationOf(s.inner)
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

// Intercept runs the inner interceptor, and the rest of the chain whatever that
// says. The outcome is that of the rest.
func (s *Shadowed) Intercept(ctx context.Context, call *Call, next Next) error {
	return s.run(ctx, call, next, s.name)
}

// shadowLink is an interceptor in shadow under the name that its chain gives it.
type shadowLink struct {
	*Shadowed

	name string
}

// Intercept is that of [Shadowed].
func (l *shadowLink) Intercept(ctx context.Context, call *Call, next Next) error {
	return l.run(ctx, call, next, l.name)
}

func (s *Shadowed) run(ctx context.Context, call *Call, next Next, name string) error {
	r := &shadowRun{terminal: call.end, of: s, name: name, call: call, shown: call.Attempt()}
	r.shown.end = r
	r.sends, r.receives = r.hooks()
	passed := false
	var outcome error
	inside := context.WithValue(ctx, callKey{}, r.shown)
	verdict := s.inner.Intercept(inside, r.shown, func(context.Context, *Call) error {
		passed = true
		r.watch()
		outcome = next(ctx, call)
		r.shown.Adopt(call)
		return outcome
	})
	if !passed {
		r.refuse(verdict)
		return next(ctx, call)
	}
	if refusal := RejectionOf(verdict); refusal != nil && refusal != RejectionOf(outcome) {
		r.refuse(verdict)
	}
	return outcome
}

// shadowRun is one call's way through an interceptor in shadow. It stands at the
// end of the copy that the interceptor is shown.
type shadowRun struct {
	terminal // of the call

	of       *Shadowed
	name     string
	call     *Call
	shown    *Call
	sends    int // how many hooks are the call's own
	receives int
	refused  atomic.Bool
	recorded bool // the interceptor recorded a refusal; guarded by the mutex of the call's state
}

// read reads the request of the call itself.
func (r *shadowRun) read(ctx context.Context, _ *Call) (any, error) {
	return r.terminal.(reader).read(ctx, r.call)
}

// conn is that of the call, for [Call.Target].
func (r *shadowRun) conn() *grpc.ClientConn {
	if end, ok := r.terminal.(caller); ok {
		return end.conn()
	}
	return nil
}

// again says no: an interceptor in shadow makes no attempts.
func (r *shadowRun) again(*Call, int32) bool { return false }

// refuse counts and records what would have been a refusal, once a call.
func (r *shadowRun) refuse(err error) {
	if !r.refused.CompareAndSwap(false, true) {
		return
	}
	r.of.refusals.Add(1)
	if !r.hasRecorded() {
		r.shown.Decide(Decision{Link: r.name, Verdict: Refused, Reason: Reason(err)})
	}
}

func (r *shadowRun) hasRecorded() bool {
	state := r.call.state()
	state.mu.Lock()
	defer state.mu.Unlock()
	return r.recorded
}

// hooks returns how many hooks there are on the copy.
func (r *shadowRun) hooks() (sends, receives int) {
	if more := r.shown.more.Load(); more != nil {
		return len(more.send), len(more.receive)
	}
	return 0, 0
}

// watch lets the hooks that the interceptor registered on its copy see the call's
// messages, and asks for what it asked for.
func (r *shadowRun) watch() {
	r.call.asks |= r.shown.asks
	sends, receives := r.hooks()
	for ; r.sends < sends; r.sends++ {
		r.call.OnSend(r.watchSend(r.shown.more.Load().send[r.sends].run))
	}
	for ; r.receives < receives; r.receives++ {
		r.call.OnReceive(r.watchReceive(r.shown.more.Load().receive[r.receives]))
	}
}

func (r *shadowRun) watchSend(hook SendHook) SendHook {
	return func(msg any, emit func(any) error) error {
		r.recount()
		if err := hook(msg, func(any) error { return nil }); err != nil {
			r.refuse(err)
		}
		return emit(msg)
	}
}

func (r *shadowRun) watchReceive(hook ReceiveHook) ReceiveHook {
	return func(msg any) (keep bool, err error) {
		r.recount()
		if _, err := hook(msg); err != nil {
			r.refuse(err)
		}
		return true, nil
	}
}

// recount shows the interceptor how many messages there were so far.
func (r *shadowRun) recount() {
	r.shown.sent.Store(r.call.sent.Load())
	r.shown.received.Store(r.call.received.Load())
}
