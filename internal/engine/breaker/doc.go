// Package breaker is the state machine of a circuit breaker.
//
// # States
//
//	           FailureThreshold consecutive failures,
//	           or a ratio of the Window
//	┌──────────┐ ─────────────────────────────────▶ ┌────────┐ ◀──────┐
//	│  Closed  │                                    │  Open  │        │
//	└──────────┘ ◀──────────────┐                   └────────┘        │ a probe
//	           SuccessThreshold │     first Allow after │             │ fails, or
//	           probes succeed   │     OpenFor           ▼             │ is slow
//	                            │                  ┌──────────┐       │
//	                            └───────────────── │ HalfOpen │ ──────┘
//	                                               └──────────┘
//
// In these states:
//
//   - [Closed]: every call is admitted. A success resets the count of failures.
//   - [Open]: every call is rejected.
//   - [HalfOpen]: up to HalfOpenMaxCalls concurrent calls are admitted, as probes.
//
// [Breaker.Force] holds a breaker Open or Closed. Then outcomes count for nothing.
//
// The pattern is that of M. Nygard, "Release It!", 2007, chapter 5.
//
// # Permits
//
// An admitted call holds a [Permit] and returns it with its [Outcome]. An outcome that
// says nothing about health, such as that of a cancelled call, is [Neutral]: it returns
// the permit of a probe and counts as neither success nor failure. Each change of state
// begins a new generation. The outcome of a call that was admitted in an earlier
// generation is ignored: a slow call from before an outage neither opens nor closes the
// breaker.
//
// A probe that never ends would occupy its place forever. With ProbeTimeout another call
// gets the place after that time, and the late outcome is ignored. More than
// HalfOpenMaxCalls probes may then run.
//
// A call whose server has answered, such as a stream that has received a message, may run for
// long. Once it has run for EstablishedAfter it counts as a success of that moment, and its
// end does not count: see [Permit.DoneAnswered] and [Permit.Watch].
//
// # Concurrency
//
// All methods are safe for concurrent use and linearizable. As an exception, a second Done
// of the same Permit, which has no effect, may return before the first one has taken
// effect. In the Closed state without failures the methods take no lock, except with a window
// once in 1023 calls, when a bucket begins, and if a call is slow.
//
// # Time
//
// A time is a reading of a monotonic clock: a duration since a fixed moment, which the
// caller chooses. If the clock is set back by more than 10 s, an open breaker counts as
// opened at the new time, and a time-based window is empty. If the clock stops, an open breaker stays open.
package breaker
