package running

import (
	"context"
	"sync"
)

// End is the end of one call by something outside of its goroutine, such as a timer. A call ends so at most
// once, and not after it has ended otherwise. The zero value is ready for use. It is safe for concurrent use.
type End struct {
	mu   sync.Mutex // held while a call is being ended
	over bool
	err  error
}

// By ends the call with err, unless it has ended: by an earlier By, because ctx is done, which is the context
// that the interceptor was given, or by Settle. It then runs do, which cancels the context of what is inside
// and sends the status, and reports true.
func (e *End) By(ctx context.Context, err error, do func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || ctx.Err() != nil {
		return false
	}
	e.over, e.err = true, err
	do()
	return true
}

// Err waits for an end that is under way, and returns the error of By, or nil.
func (e *End) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Settle waits for an end that is under way, and prevents a later one.
func (e *End) Settle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
}
