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
	probe      uint64 // the number of the probe, or 0
	done       atomic.Bool
}

// Done returns p with the outcome of its call at the time now. Only the first Done of a
// Permit has an effect. It uses the time only if the outcome is [Failure]. Safe for
// concurrent use.
func (p *Permit) Done(now time.Duration, o Outcome) {
	if p.breaker != nil && p.done.CompareAndSwap(false, true) {
		p.breaker.done(p.generation, p.probe, now, o)
	}
}
