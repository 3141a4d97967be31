package hauberk

import (
	"context"
	"iter"
	"sync"
)

// firstRun is a run of an interceptor in dry run for a stream of requests. [Call.ReadFirst] must not
// make the call wait for its first message, so the interceptor is a coroutine:
//
//	running → waiting   ReadFirst was called; the call goes on, and its first message resumes it
//	running → passed    next was called; the end of the call resumes it
//	running → done      it has returned
//
// The goroutine of the chain resumes it first and last, and one that receives in between. The
// interceptor never runs concurrently with those.
type firstRun struct {
	*shadowRun

	mu      sync.Mutex // guards the fields below, and is held while the interceptor runs
	resume  func() (struct{}, bool)
	yield   func(struct{}) bool
	waiting bool
	over    bool // the call has ended
	message any
	verdict error
	send    []SendHook // of an interceptor that called next after it had waited
	receive []ReceiveHook
}

// runFirst is run for a stream of requests on a server.
//
//go:noinline // its variables would be on the stack of other calls
func (r *shadowRun) runFirst(ctx context.Context) error {
	f := &firstRun{shadowRun: r}
	r.shown.end = f
	resume, stop := iter.Pull(func(yield func(struct{}) bool) {
		f.yield = yield
		f.verdict = r.decide(ctx, f.pass)
	})
	defer stop()
	f.resume = resume
	f.mu.Lock()
	_, running := resume()
	waits := f.waiting
	f.mu.Unlock()
	switch {
	case waits:
		r.call.OnReceive(f.received)
		r.call.OnSend(f.sent)
	case running:
		r.watch()
	default:
		f.returned()
		return r.next(ctx, r.call)
	}
	r.outcome = r.next(ctx, r.call)
	r.shown.Adopt(r.call)
	f.conclude()
	return r.outcome
}

// pass is the next of the interceptor.
func (f *firstRun) pass() error {
	if f.passed {
		return f.outcome
	}
	f.passed = true
	if own := f.shown.prepared; own != nil {
		f.send, f.receive = own.send, own.receive
	}
	if !f.over {
		f.yield(struct{}{})
	}
	return f.outcome
}

// read waits for the first message. It fails if the call ends without one.
func (f *firstRun) read(ctx context.Context, call *Call) (any, error) {
	if f.passed {
		return f.shadowRun.read(ctx, call)
	}
	if f.message == nil && !f.over {
		f.waiting = true
		f.yield(struct{}{})
	}
	if f.message == nil {
		return nil, errInternal("the call has ended without a first message that an interceptor in dry run could read")
	}
	return f.message, nil
}

// received resumes an interceptor that waits, and shows the message to its hooks.
func (f *firstRun) received(msg any) (keep bool, err error) {
	f.mu.Lock()
	if f.waiting && !f.over {
		f.waiting, f.message = false, msg
		if _, running := f.resume(); !running {
			f.returned()
		}
	}
	hooks := f.receive
	f.mu.Unlock()
	for _, hook := range hooks {
		_, _ = f.watchReceive(hook)(msg)
	}
	return true, nil
}

// sent shows a message to the hooks of the interceptor.
func (f *firstRun) sent(msg any, emit func(any) error) error {
	f.mu.Lock()
	hooks := f.send
	f.mu.Unlock()
	for _, hook := range hooks {
		f.try(func() error { return hook(msg, func(any) error { return nil }) })
	}
	return emit(msg)
}

// returned records the rejection of an interceptor that has returned without next.
func (f *firstRun) returned() {
	if !f.passed && f.panicked == nil {
		f.reject(f.verdict)
	}
}

// conclude lets the interceptor return. It is not judged if it still waited.
func (f *firstRun) conclude() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.waiting {
		f.shown.Abstain()
	}
	if f.waiting || f.passed {
		f.resume()
	}
	if f.waiting || !f.passed {
		return
	}
	if rejection := RejectionOf(f.verdict); rejection != nil && rejection != RejectionOf(f.outcome) {
		f.reject(f.verdict)
	}
}
