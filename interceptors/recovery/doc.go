// Package recovery turns panics into errors, on both sides and in every kind of
// call: those of the handler, of the interceptors and of their hooks, and the end of a
// call's goroutine by runtime.Goexit.
//
// The call ends with INTERNAL and a fixed text; nothing of the panic reaches the
// other end. The type of its value and its stack go to a [log/slog.Logger]. What the
// value says may hold anything that the program had at hand, a message or a token:
// it is logged of the runtime's own panics, such as "index out of range [3] with
// length 3", and of others with Config.LogValues. The stack holds the names of
// functions and, as Go's runtime writes arguments, numbers and addresses; no texts.
//
// The record tells whose call it was with [State], and adds what the context has
// with [WithAttrs]: the request id, by which the call's other records are found, and
// the ids of its span. They stand before the stack:
//
//	recovery.New(recovery.Config{},
//		recovery.State("request_id", requestid.Key),
//		recovery.WithAttrs(tracing.LogAttrs))
//
// Value and stack go to whoever asks with [WithHandler]. In the process errors.Is
// finds [ErrPanic] in the outcome, and errors.As the [PanicError].
//
// The interceptor guards a whole chain, wherever it stands in it: a panic is
// caught where it happens, and comes to the next interceptor out as an ordinary error,
// so that the code after next runs in every interceptor but the one that panicked. What
// no chain can catch still ends the process: panics on goroutines that a handler
// starts, and the runtime's fatal errors, such as a concurrent map write.
package recovery
