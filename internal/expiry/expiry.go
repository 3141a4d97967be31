// Package expiry has a context that can end early with context.DeadlineExceeded, without a deadline
// that others can read.
package expiry

import (
	"context"
	"sync"
)

// With returns a copy of ctx, a function that ends the copy with context.DeadlineExceeded, and one
// that releases it. The copy also ends soon after ctx does, with the error of that. Both functions
// are safe for concurrent use, and may be called more than once. cancel must be called.
//
// context.WithTimeout would not do: its deadline cannot be removed, and servers receive it.
// context.WithCancelCause would not do: the error of its context is context.Canceled, for which
// an interceptor or a handler returns another status.
func With(ctx context.Context) (bounded context.Context, expire func(), cancel context.CancelFunc) {
	e := &expiring{Context: ctx, done: make(chan struct{})}
	bounded, cancelBounded := context.WithCancel(e)
	stop := context.AfterFunc(ctx, func() { e.end(ctx.Err()) })
	expire = func() { e.end(context.DeadlineExceeded) }
	cancel = func() {
		stop()
		cancelBounded()
	}
	return bounded, expire, cancel
}

// expiring is the parent of the context that With returns, its only child. The child takes the
// error of its parent, and learns from AfterFunc that the parent has ended.
type expiring struct {
	context.Context //nolint:containedctx // it is a context: it has the deadline and the values of its parent

	done     chan struct{}
	endChild func() // set before anything can end the context

	mu  sync.Mutex
	err error // why done is closed
}

func (e *expiring) Done() <-chan struct{} { return e.done }

func (e *expiring) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// AfterFunc calls f at the end. Package context calls it for the child, in place of a goroutine that
// waits for Done.
func (e *expiring) AfterFunc(f func()) (stop func() bool) {
	e.endChild = f
	return func() bool { return false } // f does nothing once the child has ended
}

// end ends the context with err, unless it has ended.
func (e *expiring) end(err error) {
	e.mu.Lock()
	first := e.err == nil
	if first {
		e.err = err
		close(e.done)
	}
	e.mu.Unlock()
	if first {
		e.endChild()
	}
}
