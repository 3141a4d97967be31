// Package recovery turns panics into errors, on both sides and in every kind of
// call: those of the handler, of the links and of their hooks, and the end of a
// call's goroutine by runtime.Goexit.
//
// The call ends with INTERNAL and a fixed text. What the panic said and its stack
// go to a [log/slog.Logger] and to whoever asks with [WithHandler]; nothing of them
// reaches the other end. In the process errors.Is finds [ErrPanic] in the outcome,
// and errors.As the [PanicError].
//
// The interceptor guards a whole chain, wherever it stands in it: a panic is
// caught where it happens, and comes to the next link out as an ordinary error,
// so that the code after next runs in every link but the one that panicked. What
// no chain can catch still ends the process: panics on goroutines that a handler
// starts, and the runtime's fatal errors, such as a concurrent map write.
package recovery
