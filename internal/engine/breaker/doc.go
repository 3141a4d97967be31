// Package breaker is a circuit breaker: it stops calls to something that fails,
// and finds out with a few of them when it works again.
//
// # States
//
//   - [Closed]: every call is admitted. So many failures in a row, without a success
//     in between, open the breaker.
//   - [Open]: every call is rejected, for a time. The first call after that time finds
//     the breaker half-open.
//   - [HalfOpen]: a few calls at once are admitted, as probes. The first success
//     closes the breaker, the first failure opens it again for the whole time.
//
// The pattern is that of M. Nygard, "Release It!", 2007, chapter 5.
//
// # Permits
//
// A call that is admitted holds a [Permit] and gives it back with its [Outcome].
// What neither proves nor disproves health, such as a call that its caller
// cancelled, is [Neutral]: it gives back the place of a probe and counts for
// nothing. Each change of state begins a new generation, and the outcome of a call
// that was admitted in an earlier one is ignored: a slow call from before an outage
// neither opens the breaker nor closes it.
//
// A probe that never ends would keep its place for ever. With a ProbeTimeout the
// place goes to another call after that time, and the outcome is ignored when it
// does come; then more than the permitted number of probes may be running.
//
// # Concurrency
//
// All methods may be called at once from any goroutine, and are linearizable: they
// work as if one were called after the other. (A second Done of the same Permit, to
// no effect, may return before the first has taken its own.) While the breaker is
// closed and nothing fails, they take no lock.
//
// # Time
//
// Time is the reading of a monotonic clock: a duration since any moment of the
// caller's choice, the same one in all calls. If the clock is set back by more than
// 10 s, an open breaker counts as opened then. While it stands still, an open
// breaker stays open.
package breaker
