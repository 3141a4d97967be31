package recovery

import (
	"errors"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// ErrPanic is the error that errors.Is finds in the outcome of a call that panicked, in
// the process of the panic.
var ErrPanic = errors.New("recovery: panic")

// PanicError is the outcome of a call that panicked. Its text and its status are fixed.
// They do not include Value and Stack, so that an interceptor that wraps the error, or
// puts its text into a status, reveals nothing.
type PanicError struct {
	Value any    // of the panic, or hauberk.ErrGoexit
	Stack []byte // of the goroutine, in the format of runtime/debug.Stack

	status *status.Status
}

// Error returns the fixed status as text, like errors of grpc-go.
func (e *PanicError) Error() string { return e.status.Err().Error() }

// GRPCStatus returns the fixed status.
func (e *PanicError) GRPCStatus() *status.Status { return e.status }

// Is reports whether target is [ErrPanic], or [hauberk.ErrGoexit] if runtime.Goexit ended
// the goroutine. If Value is an error, errors.Is does not find it: its status would be
// sent.
func (e *PanicError) Is(target error) bool {
	return target == ErrPanic || target == hauberk.ErrGoexit && e.Value == hauberk.ErrGoexit
}

// PanicStack returns Stack.
func (e *PanicError) PanicStack() []byte { return e.Stack }

// PanicAt returns the first frame of the program in Stack, such as "shop.(*Cart).Get (/src/shop/cart.go:42)", or "".
func (e *PanicError) PanicAt() string {
	_, at := cutStack(string(e.Stack))
	return at
}
