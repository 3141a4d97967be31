package coalesce

import (
	"context"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// flight is one call for its callers.
//
//	begin ──▶ running ──the call has ended──▶ landed
//	             │
//	             └──the last caller has left──▶ abandoned, and cancelled ──▶ landed
//
// A running flight is in the map of its interceptor, so that calls can join. The lock of the interceptor
// guards callers and listed.
type flight struct {
	cancel  context.CancelFunc
	until   *latest
	callers int
	listed  bool

	failures *pushback.Collected // of outgoing calls, on a client

	done chan struct{} // closed when the fields below are set
	call *hauberk.Call // the detached copy
	err  error
	how  ending
	with any  // the value of a panic
	own  bool // only the caller that began it may have the answer

	// The deadline that it began with, if limited. Inner interceptors and servers may have read it
	// before later callers joined.
	limited  bool
	deadline time.Time
}

// ending is how the goroutine of a flight ended.
type ending uint8

const (
	exited   ending = iota // by runtime.Goexit
	returned               // with an outcome
	panicked
)

// latest is the context of a flight: its deadline is the latest of its callers. It ends when the flight is
// cancelled.
type latest struct {
	context.Context //nolint:containedctx // it is a context itself

	mu       sync.Mutex
	deadline time.Time
	forever  bool // a caller has no deadline
}

// Deadline returns the latest deadline of the callers so far.
func (l *latest) Deadline() (deadline time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline, !l.forever
}

// include makes the deadline at least that of a caller.
func (l *latest) include(ctx context.Context) {
	deadline, ok := ctx.Deadline()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forever = l.forever || !ok
	if deadline.After(l.deadline) {
		l.deadline = deadline
	}
}

// join returns the flight for a key with one more caller. If there is none, it begins one, and first
// is true.
func (x *Interceptor) join(ctx context.Context, call *hauberk.Call, next hauberk.Next, key flightKey) (
	f *flight, first bool, err error,
) {
	if f := x.joinRunning(ctx, key); f != nil {
		return f, false, nil
	}
	inside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	inside, failures := pushback.Collect(inside)
	f = &flight{
		cancel: cancel, until: &latest{Context: inside}, failures: failures, callers: 1, listed: true,
		done: make(chan struct{}),
	}
	f.until.include(ctx)
	f.deadline, f.limited = ctx.Deadline()
	_, known := hauberk.IdentityKey.Get(call)
	inside, f.call, err = call.Detach(f.until)
	if err != nil {
		cancel()
		return nil, false, err
	}
	x.mu.Lock()
	if other := x.flights[key]; other != nil { // it began meanwhile
		other.callers++
		x.mu.Unlock()
		cancel()
		other.until.include(ctx)
		return other, false, nil
	}
	x.flights[key] = f
	x.mu.Unlock()
	x.begun.Add(1)
	go func() {
		defer x.land(key, f)
		f.fly(inside, next, known)
	}()
	return f, true, nil
}

// joinRunning returns the flight for a key with one more caller, or nil.
func (x *Interceptor) joinRunning(ctx context.Context, key flightKey) *flight {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.flights[key]
	if f != nil {
		f.callers++
		f.until.include(ctx)
	}
	return f
}

// fly makes the call. known means that the identity of its caller is known.
func (f *flight) fly(inside context.Context, next hauberk.Next, known bool) {
	defer func() {
		if f.how == exited {
			if f.with = recover(); f.with != nil {
				f.how = panicked
			}
		}
	}()
	f.err = next(inside, f.call)
	id, _ := hauberk.IdentityKey.Get(f.call)
	f.own = f.call.Side() == hauberk.ServerSide && id != nil && !known
	f.how = returned
}

// land gives the outcome of a flight to its callers.
func (x *Interceptor) land(key flightKey, f *flight) {
	f.cancel()
	x.mu.Lock()
	x.unlist(key, f)
	left := f.callers == 0
	close(f.done)
	x.mu.Unlock()
	if left && f.how == panicked {
		x.log.Error("coalesce: a flight panicked after all callers had left", "panic", f.with)
	}
}

// leave takes a caller away from a flight, which is cancelled after the last one.
func (x *Interceptor) leave(key flightKey, f *flight) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f.callers--
	if f.callers == 0 {
		x.unlist(key, f)
		f.cancel()
	}
}

// unlist lets no more calls join a flight. The lock is held.
func (x *Interceptor) unlist(key flightKey, f *flight) {
	if f.listed {
		f.listed = false
		delete(x.flights, key)
	}
}
