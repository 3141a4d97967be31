package breaker

import "time"

// Force sets the mode at the time now:
//
//   - ForcedOpen opens the breaker: all calls are rejected, until the mode changes.
//   - ForcedClosed closes it: all calls are admitted, and outcomes count for nothing.
//   - Automatic ends that. A breaker that was forced open is half-open then, so that probes
//     decide. One that was forced closed is closed, and counts from zero.
//
// A change of the mode begins a new generation. Force has no effect if the mode does not change.
// Any other value is Automatic. Safe for concurrent use.
func (b *Breaker) Force(m Mode, now time.Duration) {
	if m > ForcedClosed {
		m = Automatic
	}
	b.lock()
	defer b.unlock()
	if m == b.mode {
		return
	}
	before := b.load().state()
	b.mode, b.failures, b.openings, b.openFor = m, 0, 0, 0
	switch {
	case m == ForcedOpen:
		b.change(Open, now)
	case m == Automatic && before == Open:
		b.change(HalfOpen, now)
	default:
		b.change(Closed, now)
	}
}

// Left returns the time from now until an open breaker admits a call. It is 0 for others, and if
// the breaker is forced. Safe for concurrent use.
func (b *Breaker) Left(now time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.load().state() != Open || b.mode != Automatic {
		return 0
	}
	return max(b.openFor-since(b.opened, now), 0)
}
