package future

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// ErrCancelled is the error, for errors.Is, of a call that [Future.Cancel] has ended.
var ErrCancelled = errors.New("future: the call was cancelled")

// Future is a call in progress, or its outcome. All methods are safe for concurrent use. The
// methods that wait for the call's end wait at most until the call's context ends, so give it a
// deadline.
//
// If the call panics, these methods panic with the same value. If runtime.Goexit ends the call's
// goroutine, the outcome is INTERNAL.
type Future[Resp any] struct {
	deadline time.Time // zero for none
	cancel   context.CancelFunc
	done     chan struct{}

	mu        sync.Mutex // guards cancelled, ended and callbacks
	cancelled bool
	ended     bool
	callbacks []func(f *Future[Resp])

	// The outcome, written before done is closed.
	resp            *Resp
	err             error
	panicked        any
	header, trailer metadata.MD
	peer            peer.Peer
}

// Start makes a call of a unary method, such as client.Get of a generated client, on a separate
// goroutine that ends with the call. req must not be modified until the call has ended. Start
// panics if method is nil.
func Start[Req, Resp any](
	ctx context.Context,
	method func(ctx context.Context, req *Req, opts ...grpc.CallOption) (*Resp, error),
	req *Req,
	opts ...grpc.CallOption,
) *Future[Resp] {
	if method == nil {
		panic("future: Start of a nil method")
	}
	return start(ctx, opts, func(ctx context.Context, opts []grpc.CallOption) (*Resp, error) {
		return method(ctx, req, opts...)
	})
}

// call makes a call with one response.
type call[Resp any] func(ctx context.Context, opts []grpc.CallOption) (*Resp, error)

func start[Resp any](ctx context.Context, opts []grpc.CallOption, call call[Resp]) *Future[Resp] {
	f := &Future[Resp]{done: make(chan struct{})}
	f.deadline, _ = ctx.Deadline()
	ctx, f.cancel = context.WithCancel(ctx) //nolint:gosec // end calls it
	go f.run(ctx, call, append(slices.Clip(opts), grpc.Header(&f.header), grpc.Trailer(&f.trailer), grpc.Peer(&f.peer)))
	return f
}

// run is the future's goroutine.
func (f *Future[Resp]) run(ctx context.Context, call call[Resp], opts []grpc.CallOption) {
	returned := false
	defer func() {
		if !returned {
			f.end(nil, errGoexit, recover())
		}
	}()
	resp, err := call(ctx, opts)
	returned = true
	f.end(resp, err, nil)
}

var errGoexit = status.Error(codes.Internal, "future: the call's goroutine was ended by runtime.Goexit")

// end stores the outcome and releases the waiting goroutines and the callbacks.
func (f *Future[Resp]) end(resp *Resp, err error, panicked any) {
	f.cancel()
	f.mu.Lock()
	if f.cancelled {
		resp, err = nil, &cancelledError{err}
	}
	f.resp, f.err, f.panicked = resp, err, panicked
	f.ended = true
	callbacks := f.callbacks
	f.callbacks = nil
	close(f.done)
	f.mu.Unlock()
	f.notify(callbacks)
}

// notify runs callbacks. If one panics, the following ones still run.
func (f *Future[Resp]) notify(callbacks []func(f *Future[Resp])) {
	if len(callbacks) > 0 {
		defer f.notify(callbacks[1:])
		callbacks[0](f)
	}
}

// Done returns a channel that is closed when the call has ended.
func (f *Future[Resp]) Done() <-chan struct{} { return f.done }

// Running reports whether the call has not ended yet.
func (f *Future[Resp]) Running() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.ended
}

// Cancel cancels the call and reports whether it was still running. If it was, the outcome is
// CANCELLED with [ErrCancelled], even if a response arrives meanwhile. The server may or may not
// have served the call. Cancel does not wait for the call's end.
func (f *Future[Resp]) Cancel() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	f.cancelled = true
	f.cancel()
	return true
}

// Cancelled reports whether [Future.Cancel] has cancelled the call. It returns false for a call
// that ended as CANCELLED for another reason.
func (f *Future[Resp]) Cancelled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cancelled
}

// AddDoneCallback runs callback once when the call has ended. Callbacks run on the future's
// goroutine, in the order in which they were added. If the call has ended already, callback runs
// at once, on the caller's goroutine. A callback may call all methods of the future. If a
// callback panics, the others still run, and then the panic ends the process. So callbacks must
// recover from their own panics.
func (f *Future[Resp]) AddDoneCallback(callback func(f *Future[Resp])) {
	f.mu.Lock()
	if !f.ended {
		defer f.mu.Unlock()
		f.callbacks = append(f.callbacks, callback)
		return
	}
	f.mu.Unlock()
	callback(f)
}

// Deadline returns the deadline of the call's context, and whether it has one.
func (f *Future[Resp]) Deadline() (deadline time.Time, ok bool) {
	return f.deadline, !f.deadline.IsZero()
}

// TimeRemaining returns the time until the deadline, and whether there is one. The time is 0 if
// the deadline has passed.
func (f *Future[Resp]) TimeRemaining() (d time.Duration, ok bool) {
	if f.deadline.IsZero() {
		return 0, false
	}
	return max(time.Until(f.deadline), 0), true
}

// wait waits for the outcome.
func (f *Future[Resp]) wait() {
	<-f.done
	if f.panicked != nil {
		panic(f.panicked)
	}
}

// Result waits for the call's end and returns the response, or the error that the method
// returned.
func (f *Future[Resp]) Result() (*Resp, error) {
	f.wait()
	return f.resp, f.err
}

// Err waits for the call's end and returns its error, or nil.
func (f *Future[Resp]) Err() error {
	f.wait()
	return f.err
}

// Status waits for the call's end and returns its status. The status is nil for OK, as in
// grpc-go.
func (f *Future[Resp]) Status() *status.Status { return hauberk.StatusOf(f.Err()) }

// Code waits for the call's end and returns the code of its status.
func (f *Future[Resp]) Code() codes.Code { return f.Status().Code() }

// Header waits for the call's end and returns the response header, or nil if none arrived. The
// result must not be modified.
func (f *Future[Resp]) Header() metadata.MD {
	f.wait()
	return f.header
}

// Trailer waits for the call's end and returns the trailer, or nil if none arrived. The result
// must not be modified.
func (f *Future[Resp]) Trailer() metadata.MD {
	f.wait()
	return f.trailer
}

// Peer waits for the call's end and returns the server of the call, or nil if the call reached
// no server. The result must not be modified.
func (f *Future[Resp]) Peer() *peer.Peer {
	f.wait()
	if f.peer.Addr == nil {
		return nil
	}
	return &f.peer
}

// cancelledError is the error of a cancelled call.
type cancelledError struct{ cause error } // the call's own error; nil if it ended with OK

// Error returns the text of the status, as errors of grpc-go do.
func (e *cancelledError) Error() string { return e.GRPCStatus().Err().Error() }

// GRPCStatus returns CANCELLED.
func (e *cancelledError) GRPCStatus() *status.Status {
	return status.New(codes.Canceled, ErrCancelled.Error())
}

// Unwrap returns [ErrCancelled] and the call's own error.
func (e *cancelledError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrCancelled}
	}
	return []error{ErrCancelled, e.cause}
}
