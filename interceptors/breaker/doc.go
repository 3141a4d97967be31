// Package breaker is a client-side circuit breaker.
//
//	chain, err := hauberk.New(retry.New(retry.Config{}), breaker.New(breaker.Config{FailureThreshold: 5}))
//
// A circuit is closed, open or half-open:
//
//   - A closed circuit admits all calls. It opens after [Config].FailureThreshold
//     consecutive failures.
//   - An open circuit rejects all calls for [Config].OpenFor. Nothing is sent.
//   - Then it is half-open, and admits up to [Config].HalfOpenMaxCalls concurrent calls as
//     probes. The first probe that succeeds closes it, the first that fails opens it again.
//
// Each service, method or target has its own circuit: see [Config].By.
//
// # What counts
//
// A call counts when it ends, a stream too, by its final status. The codes of
// [Config].FailureCodes are failures, all others are successes. These outcomes say nothing
// about the server and count as neither; a probe with such an outcome is replaced by
// another:
//
//   - CANCELLED
//   - a call that never left this process, as [hauberk.Call.Unsent] reports: its context
//     was done before, or its request could not be encoded
//   - a [hauberk.Rejection] by an inner interceptor or hook
//   - DEADLINE_EXCEEDED of a call that had less time than [Config].MinTimeout
//   - a call that was admitted before the circuit last changed its state
//
// A panic or runtime.Goexit during a call is a failure. A reply or a plain status of an
// inner interceptor counts as if it were the server's. A call that finds no connection,
// or waits for one until its deadline, is a failure.
//
// # Rejections
//
// A rejected call ends with UNAVAILABLE and the reason [ReasonOpen] or [ReasonHalfOpen].
// Its google.rpc.RetryInfo has the time until a call may be admitted. Its
// google.rpc.ErrorInfo has the circuit's name under the key "circuit". In process,
// errors.Is finds [ErrOpen] or [ErrHalfOpen] and the last failure of the circuit, which
// is never sent. A handler that returns the rejection as its own error sends the name of
// the circuit to its caller.
//
// The pattern is that of M. Nygard, "Release It!", 2007, chapter 5.
package breaker
