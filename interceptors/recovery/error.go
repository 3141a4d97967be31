package recovery

import (
	"errors"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// ErrPanic is what errors.Is finds in the outcome of a call that panicked, in the
// process where it did.
var ErrPanic = errors.New("recovery: panic")

// PanicError is the outcome of a call that panicked. Its text and its status are
// the fixed ones. Value and Stack are for this process: they are in nothing that
// the error says of itself, so that an interceptor that puts its text into a status, or
// wraps it, gives nothing away.
type PanicError struct {
	Value any    // of the panic, or hauberk.ErrGoexit
	Stack []byte // of the goroutine, as runtime/debug.Stack writes it

	status *status.Status
}

// Error returns the fixed status as text, as errors of grpc-go do.
func (e *PanicError) Error() string { return e.status.Err().Error() }

// GRPCStatus returns the fixed status.
func (e *PanicError) GRPCStatus() *status.Status { return e.status }

// Is reports whether target is [ErrPanic], or [hauberk.ErrGoexit] where the
// goroutine ended by it. A value that is an error is not found: its status would
// be sent.
func (e *PanicError) Is(target error) bool {
	return target == ErrPanic || target == hauberk.ErrGoexit && e.Value == hauberk.ErrGoexit
}
