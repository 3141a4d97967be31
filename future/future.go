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

// ErrCancelled is what errors.Is finds in the outcome of a call that
// [Future.Cancel] ended.
var ErrCancelled = errors.New("future: the call was cancelled")

// Future is a call that is being made, and then its outcome. All of it is safe for
// concurrent use. What waits for the call's end waits no longer than the context
// that the call was started with: give it a deadline.
//
// If the call panics, what asks for its outcome panics with the same value; the
// end of its goroutine by runtime.Goexit is an INTERNAL outcome.
type Future[Resp any] struct {
	deadline time.Time // zero for none
	cancel   context.CancelFunc
	done     chan struct{}

	mu        sync.Mutex // guards what follows
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

// Start makes a call of a unary method, such as client.Get of a generated client,
// on a goroutine of its own, which ends with the call. req is not to be changed
// until then.
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

// call is a call with one response.
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

// end settles the outcome and tells those who wait for it.
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
	f.tell(callbacks)
}

// tell runs callbacks, those behind one that panics too.
func (f *Future[Resp]) tell(callbacks []func(f *Future[Resp])) {
	if len(callbacks) > 0 {
		defer f.tell(callbacks[1:])
		callbacks[0](f)
	}
}

// Done is closed when the call has ended.
func (f *Future[Resp]) Done() <-chan struct{} { return f.done }

// Running reports whether the call has not ended yet.
func (f *Future[Resp]) Running() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.ended
}

// Cancel ends the call and reports whether it was still running. Then its outcome
// is CANCELLED, with [ErrCancelled], even if a response has come meanwhile; whether
// the server has served the call no one can tell. Cancel does not wait for the end.
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

// Cancelled reports whether [Future.Cancel] has ended the call, or is about to. A
// call that ended as CANCELLED otherwise is not meant.
func (f *Future[Resp]) Cancelled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cancelled
}

// AddDoneCallback has callback run once, when the call has ended: on the future's
// goroutine, in the order in which they were added, or at once if the call has
// ended already. A callback may ask the future for anything. If it panics the
// others still run, and the panic goes on: it ends the process unless callback
// recovers from it.
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

// Deadline returns the deadline of the context that the call was started with, and
// whether it has one.
func (f *Future[Resp]) Deadline() (deadline time.Time, ok bool) {
	return f.deadline, !f.deadline.IsZero()
}

// TimeRemaining returns the time until the deadline, 0 if that has passed, and
// whether there is one.
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

// Result waits for the call's end and returns the response, or the error of the
// call as the method returned it.
func (f *Future[Resp]) Result() (*Resp, error) {
	f.wait()
	return f.resp, f.err
}

// Err waits for the call's end and returns its error, or nil.
func (f *Future[Resp]) Err() error {
	f.wait()
	return f.err
}

// Status waits for the call's end and returns its status, which is nil for OK, as
// grpc-go has it.
func (f *Future[Resp]) Status() *status.Status { return hauberk.StatusOf(f.Err()) }

// Code waits for the call's end and returns the code of its status.
func (f *Future[Resp]) Code() codes.Code { return f.Status().Code() }

// Header waits for the call's end and returns the response header, if one came. It
// is not to be changed.
func (f *Future[Resp]) Header() metadata.MD {
	f.wait()
	return f.header
}

// Trailer waits for the call's end and returns the trailer, if one came. It is not
// to be changed.
func (f *Future[Resp]) Trailer() metadata.MD {
	f.wait()
	return f.trailer
}

// Peer waits for the call's end and returns the server that was called, or nil if
// none was reached. It is not to be changed.
func (f *Future[Resp]) Peer() *peer.Peer {
	f.wait()
	if f.peer.Addr == nil {
		return nil
	}
	return &f.peer
}

// cancelledError is the outcome of a call that was cancelled.
type cancelledError struct{ cause error } // nil if the call ended well

// Error returns the status as text, as errors of grpc-go do.
func (e *cancelledError) Error() string { return e.GRPCStatus().Err().Error() }

// GRPCStatus returns CANCELLED.
func (e *cancelledError) GRPCStatus() *status.Status {
	return status.New(codes.Canceled, ErrCancelled.Error())
}

// Unwrap returns what the call ended with, behind [ErrCancelled].
func (e *cancelledError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrCancelled}
	}
	return []error{ErrCancelled, e.cause}
}
