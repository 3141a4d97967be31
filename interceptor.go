package hauberk

import "context"

// Interceptor runs around one call, whatever its kind and side.
//
// It is called by many goroutines at once, one call each, and must be safe for
// that. It may call next once (on a client, more often: see [Next]), or not at
// all, and then it answers the call itself: an error becomes the call's status,
// [Call.Reply] followed by a nil return its response.
type Interceptor interface {
	Intercept(ctx context.Context, call *Call, next Next) error
}

// Next runs the rest of the chain and the call itself. It returns when the call
// has ended, with its outcome: nil for OK, else an error from which [StatusOf]
// gets the status. ctx carries the deadline and the metadata further in; call is
// the interceptor's own call, or on a client a copy made by [Call.Attempt].
//
// On a server a second call of next returns an INTERNAL error. On a client it is
// a new attempt, as long as the application was given neither a response message,
// the response header nor the stream's context; where a new attempt cannot be made (the
// above, a request stream that was not kept with [Call.Replayable], or a rejection
// made in this process) next returns the previous outcome again, at once.
//
// next is for the interceptor's own goroutine, or for goroutines that end before
// Intercept returns and use copies. Called later it returns an INTERNAL error.
type Next func(ctx context.Context, call *Call) error

// Func is a function as an [Interceptor].
type Func func(ctx context.Context, call *Call, next Next) error

// Intercept calls f.
func (f Func) Intercept(ctx context.Context, call *Call, next Next) error {
	return f(ctx, call, next)
}

// Declarer is implemented by interceptors that tell [New], [Chain.Lint],
// [Chain.Explain] and [Chain.Coverage] about themselves. Declare is called while
// a chain is built, never for a call.
type Declarer interface {
	Declare() Declaration
}

// Declaration is what an interceptor says of itself. The zero value says nothing.
type Declaration struct {
	// Name is how decisions, explanations and errors call the interceptor. The default
	// is the name of the interceptor's package, or of its type.
	Name string
	// Phase is the interceptor's usual place in a chain; Lint compares the phases.
	Phase Phase
	// Reads is the state that must have been written further out.
	Reads []StateKey
	// Writes is the state that the interceptor writes before it calls next.
	Writes []StateKey
	// Decides says that the interceptor only admits or rejects calls, so that it can be
	// put in [Shadow].
	Decides bool
	// Repeatable says that one instance may run several times for a call, such as
	// outside and inside of a retry. New reports others that would.
	Repeatable bool
	// Authenticates says that a call that passes the interceptor has an identity.
	Authenticates bool
	// Err is what is wrong with the interceptor's configuration; New reports it.
	Err error
}

// Guard is implemented by an interceptor that turns panics into errors. While a
// chain has one, each of its interceptors, its hooks and the handler are guarded where
// they run, further out than the guard too, so that the panic reaches the next
// interceptor out as an ordinary error. Without a guard a panic passes untouched.
//
// Recovered gets the value of the panic, or [ErrGoexit], and the stack of the
// goroutine, and returns the error that takes its place.
type Guard interface {
	Recovered(ctx context.Context, call *Call, value any, stack []byte) error
}

// Named gives an interceptor a name of its own in decisions, explanations and errors.
func Named(name string, x Interceptor) Interceptor {
	return &named{Interceptor: x, name: name}
}

type named struct {
	Interceptor

	name string
}
