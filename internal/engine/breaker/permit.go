package breaker

import (
	"sync/atomic"
	"time"
)

// Permit admits one call. [Permit.Done] returns it, once. It must not be copied. The zero
// Permit is that of a rejected call.
type Permit struct {
	breaker    *Breaker
	generation uint64
	probe      uint64        // the number of the probe, or 0
	started    time.Duration // when the call was admitted
	failed     uint64        // how many failures had counted by then
	done       atomic.Bool
}

// IsProbe reports whether the call was admitted as a probe.
func (p *Permit) IsProbe() bool { return p.probe != 0 }

// Started returns the time at which the call was admitted.
func (p *Permit) Started() time.Duration { return p.started }

// Done returns p with the outcome of its call at the time now. Only the first Done of a
// Permit has an effect. It uses the time only if the outcome is [Failure], or the window has a
// SlowRatio: the call is slow if it ran for SlowAfter. Safe for concurrent use.
func (p *Permit) Done(now time.Duration, o Outcome) {
	if p.breaker != nil && p.done.CompareAndSwap(false, true) {
		p.breaker.done(p, now, o)
	}
}

// DoneAnswered is Done for a call that its server has answered before the call ended, such
// as a stream that has received a message. took is the time until the answer; 0 if it is not
// known: the call is slow if that is SlowAfter or more. Unless o is Success:
//
//   - If the call ran for EstablishedAfter, it counts as a success at the moment when it had
//     run for that long, and its end does not count.
//   - Otherwise a Failure counts only if no other has counted since the call was admitted, so
//     that calls which fail together count once.
func (p *Permit) DoneAnswered(now, took time.Duration, o Outcome) {
	if p.breaker != nil && p.done.CompareAndSwap(false, true) {
		p.breaker.doneAnswered(p, now, took, o)
	}
}

// Watch gives the breaker a function that reports whether the server has answered a probe
// that has not ended. Once the probe has run for EstablishedAfter and answered returns true,
// the next Allow closes the breaker. answered must be safe for concurrent use and must not
// use the breaker. Watch does nothing for other calls.
func (p *Permit) Watch(answered func() bool) {
	if p.IsProbe() {
		p.breaker.watch(p, answered)
	}
}
