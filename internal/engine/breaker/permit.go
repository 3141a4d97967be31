package breaker

import (
	"sync/atomic"
	"time"
)

// Permit admits one call. It is given back once, by [Permit.Done]; it must not be
// copied. The zero Permit is that of a call that was rejected.
type Permit struct {
	breaker    *Breaker
	generation uint64
	probe      uint64 // which one, if half-open
	done       atomic.Bool
}

// Done gives p back, with the outcome of its call at the time now. Only the first
// Done of a Permit counts. The time is not looked at unless the outcome is
// [Failure]. Safe for concurrent use.
func (p *Permit) Done(now time.Duration, o Outcome) {
	if p.breaker != nil && p.done.CompareAndSwap(false, true) {
		p.breaker.done(p.generation, p.probe, now, o)
	}
}
