// Package recovery turns panics into errors, on both sides and in calls of every kind.
// It covers panics of the handler, of interceptors and of their hooks. It also covers
// runtime.Goexit, which ends the goroutine of a call.
//
// The call ends with INTERNAL and a fixed text. The other end receives nothing of the
// panic. A [log/slog.Logger] gets a record with
//
//   - the type of the panic's value, and for panics of the runtime, such as "index out
//     of range [3] with length 3", its text. The text of other values may hold secrets,
//     such as a message or a token; Config.LogValues logs it.
//   - the place of the panic ([KeyPanicAt]): the first frame of the program.
//   - the stack, without the frames of the runtime, grpc-go and Hauberk. It has the
//     names of functions, and numbers and addresses for their arguments, but no texts.
//
// [State] adds values of the call's state, such as the request id that the call's other
// records have, and [WithAttrs] data of the context, such as the ids of its span. They
// precede the stack:
//
//	recovery.New(recovery.Config{},
//		recovery.State("request_id", requestid.Key),
//		recovery.WithAttrs(tracing.LogAttrs))
//
// The function of [WithHandler] receives the value and the whole stack. In this process
// errors.Is finds [ErrPanic] in the outcome, and errors.As the [PanicError].
//
// The interceptor guards the whole chain, from any place in it: a panic is caught where
// it happens, and outer interceptors see an ordinary error. The code after next runs in
// every interceptor except the one that panicked. No chain can catch panics of goroutines
// that a handler starts, and fatal errors of the runtime, such as a concurrent map write:
// these end the process.
package recovery
