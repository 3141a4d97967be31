// Package flight runs a function once for the callers that wait for its result.
package flight

import (
	"context"
	"fmt"
)

// Flight is one run of a function. Make it with [New], and run it on a goroutine of its owner, so
// that it does not end with the caller that began it. Safe for concurrent use.
type Flight[T any] struct {
	done  chan struct{} // closed when value and err are set
	value T
	err   error
}

// New returns a flight that is not run yet.
func New[T any]() *Flight[T] { return &Flight[T]{done: make(chan struct{})} }

// Run calls f, then land with its result, and then ends the waiting of [Flight.Wait]. f runs on a goroutine
// where no interceptor recovers panics: if it panics or ends the goroutine, the result is the
// error that failed makes of that. land must not panic.
func (r *Flight[T]) Run(f func() (T, error), failed func(how string) error, land func(T, error)) {
	defer close(r.done) // also if land ends the goroutine
	defer func() { land(r.value, r.err) }()
	ended := "ended its goroutine"
	defer func() {
		if p := recover(); p != nil {
			ended = fmt.Sprint("panicked: ", p)
		}
		if ended != "" {
			r.err = failed(ended)
		}
	}()
	r.value, r.err = f()
	ended = ""
}

// Wait returns the result, or the error of ctx if that is done before.
func (r *Flight[T]) Wait(ctx context.Context) (value T, err error) {
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		return value, ctx.Err()
	}
}
