package hauberk

import (
	"context"
	"sync"
)

// firstRun is a run of an interceptor in dry run for a stream of requests. [Call.ReadFirst] must not
// make the call wait for its first message, so the interceptor is a coroutine on a goroutine that only it has:
//
//	running → waiting   ReadFirst was called; the call goes on, and its first message resumes it
//	running → passed    next was called; the end of the call resumes it
//	running → done      it has returned
//
// The goroutine of the chain resumes it first and last, and one that receives in between. These wait
// until it has another state, so it never runs concurrently with them. Only if the call ends while it
// judges the message on a goroutine that the handler left behind, the call does not wait: its
// context is cancelled, and it is not judged.
//
// It is no iterator of package iter: those must not be resumed by a goroutine that has locked
// its thread, as handlers may.
type firstRun struct {
	*shadowRun

	cancel  context.CancelFunc // of the interceptor's context
	resumed chan struct{}
	yielded chan struct{} // closed when it is done

	mu      sync.Mutex // guards the fields below; it is not held while the interceptor runs
	waiting bool
	judging bool // received runs it
	over    bool // the call has ended
	message any
	verdict error
	send    []sendHook // of an interceptor that called next after it had waited
	receive []receiveHook
}

// runFirst is run for a stream of requests on a server.
//
//go:noinline // its variables would be on the stack of other calls
func (r *shadowRun) runFirst(ctx context.Context) error {
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &firstRun{
		shadowRun: r, cancel: cancel, resumed: make(chan struct{}), yielded: make(chan struct{}),
		verdict: errShadowPanic, // if it ends its goroutine
	}
	r.shown.end = f
	go func() {
		defer close(f.yielded)
		<-f.resumed
		f.verdict = r.decide(own, f.pass)
	}()
	switch running := f.resume(); {
	case !running:
		f.returned()
		return r.next(ctx, r.call)
	case f.waiting:
		r.call.OnReceiveContext(f.received)
		r.call.OnSendContext(f.sent)
	default:
		r.watch()
	}
	defer f.conclude()
	r.outcome = r.next(ctx, r.call)
	r.shown.Adopt(r.call)
	return r.outcome
}

// resume lets the interceptor run until it waits for the call, or is done.
func (f *firstRun) resume() (running bool) {
	f.resumed <- struct{}{}
	_, running = <-f.yielded
	return running
}

// yield lets the call go on until it resumes the interceptor.
func (f *firstRun) yield() {
	f.yielded <- struct{}{}
	<-f.resumed
}

// pass is the next of the interceptor.
func (f *firstRun) pass() error {
	if f.passed {
		return f.outcome
	}
	f.mu.Lock()
	f.passed = true
	if own := f.shown.prepared; own != nil {
		f.send, f.receive = own.send, own.receive
	}
	over := f.over
	f.mu.Unlock()
	if !over {
		f.yield()
	}
	return f.outcome
}

// read waits for the first message. It fails if the call ends without one.
func (f *firstRun) read(ctx context.Context, call *Call) (any, error) {
	if f.passed {
		return f.shadowRun.read(ctx, call)
	}
	f.mu.Lock()
	wait := f.message == nil && !f.over
	f.waiting = wait
	f.mu.Unlock()
	if wait {
		f.yield()
	}
	if f.message == nil {
		return nil, errInternal("the call has ended without a first message that an interceptor in dry run could read")
	}
	return f.message, nil
}

// received resumes an interceptor that waits, and shows the message to its hooks.
func (f *firstRun) received(ctx context.Context, msg any) (keep bool, err error) {
	f.mu.Lock()
	if f.waiting && !f.over {
		f.waiting, f.judging, f.message = false, true, msg
		f.mu.Unlock()
		running := f.resume()
		f.mu.Lock()
		f.judging = false
		switch {
		case f.over && running:
			defer f.resume() // nothing else will
		case !f.over && !running:
			f.returned()
		}
	}
	hooks := f.receive
	f.mu.Unlock()
	for _, hook := range hooks {
		_, _ = f.watchReceive(hook)(ctx, msg)
	}
	return true, nil
}

// sent shows a message to the hooks of the interceptor.
func (f *firstRun) sent(ctx context.Context, msg any, emit func(any) error) error {
	f.mu.Lock()
	hooks := f.send
	f.mu.Unlock()
	for _, hook := range hooks {
		f.try(func() error { return hook.run(ctx, msg, func(any) error { return nil }) })
	}
	return emit(msg)
}

// returned records the rejection of an interceptor that has returned without next.
func (f *firstRun) returned() {
	if !f.passed && f.panicked == nil {
		f.reject(f.verdict)
	}
}

// conclude lets the interceptor return when the call has ended. It is not judged if it has not
// decided yet.
func (f *firstRun) conclude() {
	f.mu.Lock()
	f.over = true
	waiting, judging, passed := f.waiting, f.judging, f.passed
	f.mu.Unlock()
	switch {
	case judging:
		f.shown.Abstain()
		f.cancel()
	case waiting:
		f.shown.Abstain()
		f.resume()
	case passed:
		f.resume()
		if rejection := RejectionOf(f.verdict); rejection != nil && rejection != RejectionOf(f.outcome) {
			f.reject(f.verdict)
		}
	}
}
