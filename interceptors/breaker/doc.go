// Package breaker is a client-side circuit breaker.
//
//	chain, err := hauberk.New(retry.New(retry.Config{}), breaker.New(breaker.Config{FailureThreshold: 5}))
//
// # States
//
//	               FailureThreshold consecutive failures,
//	               or FailureRatio or SlowRatio of the window
//	┌──────────┐ ──────────────────────────────────────────▶ ┌────────┐ ◀──────┐
//	│  Closed  │                                             │  Open  │        │
//	└──────────┘ ◀────────────────┐                          └────────┘        │ a probe
//	             SuccessThreshold │         first call after │                 │ fails, or
//	             probes succeed   │         OpenFor          ▼                 │ is slow
//	                              │                     ┌──────────┐           │
//	                              └──────────────────── │ HalfOpen │ ──────────┘
//	                                                    └──────────┘
//
// In these states:
//
//   - Closed: all calls are admitted.
//   - Open: all calls are rejected for [Config].OpenFor. Nothing is sent. With
//     [Config].OpenForMultiplier that time grows as long as probes fail.
//   - HalfOpen: up to [Config].HalfOpenMaxCalls concurrent calls are admitted, as probes, and the
//     others are rejected.
//
// Each service, method or target has its own circuit: see [Config].By. With [Config].Key it is each
// tenant, or any other value of a call: see package callkey. Metadata that an outer interceptor writes
// can be a key, and so can a backend that it chooses.
//
// # Windows
//
// Consecutive failures find a service that is down. A ratio finds one that fails often, and needs
// traffic: it counts from [Config].MinCalls on.
//
//   - With [Config].WindowCalls the window has the latest calls, exactly.
//   - With [Config].WindowTime it has the calls of that time. It moves in steps of a tenth of it: a
//     call leaves the window after 9/10 of it at the earliest. A success that is not slow counts at
//     the time when it was admitted, or when the latest call counted if that is later; all others
//     count when they end.
//
// Only a failure or a slow call opens a circuit: one whose ratio is reached with a success stays
// closed until the next failure. A change of state empties the window. Both windows have a fixed size
// in memory: 2 bits for each of WindowCalls, or ten counts for each circuit.
//
// A call is slow if it takes [Config].SlowAfter or longer, also if it succeeds or fails. Of a stream of
// responses the time until the application receives the first message counts; it is not slow if it
// never receives one but a header. A slow success opens a half-open circuit again: a server that is
// slow has not recovered.
//
// # What counts
//
// A call counts when it ends, by its final status. The codes of [Config].FailureCodes are
// failures, all others are successes. These outcomes say nothing about the server and count
// as neither; a probe with such an outcome is replaced by another:
//
//   - CANCELLED
//   - a call that never left this process, as [hauberk.Call.Unsent] reports: its context
//     was done before, its request could not be encoded, its per-RPC credentials failed, or
//     an inner interceptor had no token for it
//   - a [hauberk.Rejection] by an inner interceptor or hook
//   - DEADLINE_EXCEEDED of a call that had less time than [Config].MinTimeout, or of a
//     stream of responses that has received a response header or a message
//   - RESOURCE_EXHAUSTED of a message over a size limit of either side ([hauberk.MessageTooLarge])
//   - a call that was admitted before the circuit last changed its state
//   - a call for which the function of [WithOutcome] returns [Neutral]
//
// The function of [WithOutcome] may count others differently, by their response or error.
//
// A panic or runtime.Goexit during a call is a failure. A reply or a plain status of an
// inner interceptor counts as if it were the server's, unless the interceptor calls
// [hauberk.Call.SetUnsent], as authn.NewClient does when its source of tokens fails. The same
// is not known of credentials of grpc.WithPerRPCCredentials: their failures count. A call that
// finds no connection, or waits for one until its deadline, is a failure.
//
// # Long streams
//
// The end of a long stream says little about the server: a watch that has received messages
// for an hour ends with UNAVAILABLE when the server restarts. A stream is established once
// it has received a response header or a message and has run for
// [Config].EstablishedAfter. At that moment it is a success, and its end does not count:
//
//   - An established probe closes the circuit. That happens at the next call, which is
//     admitted, if the probe has received a message, and otherwise at its end, since a
//     header is not known before that.
//   - At its end an established stream resets the failures that were counted before it was
//     established, and none of those that were counted later.
//
// With [Config].CountAtFirstResponse a stream counts as a success at its first message instead. That
// suits streams whose servers fail before the first message or not at all.
//
// CANCELLED says nothing about the server, also after a message. A client that takes the first
// message of its streams and cancels them sets EstablishedAfter to a nanosecond: such streams
// are successes then.
//
// Of streams that have received something, but fail before they are established, those that
// fail together count as one failure: such a failure counts only if no other has counted
// since the stream was admitted. A stream that has received nothing, as with a
// Trailers-Only response, and a call with a single response count by their final status.
//
// gRFC A50, Outlier Detection, counts streams by their final status alone. It compares rates
// of the backends of a service, which restarts change little. A circuit counts consecutive
// failures, and those of all backends.
//
// # Rejections
//
// A rejected call ends with UNAVAILABLE and the reason [ReasonOpen] or [ReasonHalfOpen].
// That of an open circuit has a google.rpc.RetryInfo with the time until a call may be admitted. That
// of a half-open one has none: its probes usually end soon. A retry outside of this process that
// receives the rejection waits only if the time is within its own bound: retry.Config.MaxServerDelay.
// The google.rpc.ErrorInfo has the circuit's name under the key "circuit", without the value of
// [Config].Key, and "true" under the key "forced" if an operator has opened the circuit. In process,
// errors.Is finds [ErrOpen] or [ErrHalfOpen] and the last failure of the circuit, which
// is never sent. A handler that returns the rejection as its own error sends the name of
// the circuit to its caller.
//
// [WithFallback] answers rejected calls, from a cache for instance.
//
// # Operation
//
// [Interceptor.ForceOpen], [Interceptor.ForceClosed] and [Interceptor.Automatic] force the state of a
// circuit, and there is one of each for all circuits. [Interceptor.Circuits] lists the circuits with
// their counts, the last failure and the time that is left. [WithListener] and [WithLogger] report
// changes; neither delays a call. [Interceptor.Measurements] has the numbers for metrics.
//
// The pattern is that of M. Nygard, "Release It!", 2007, chapter 5.
package breaker
