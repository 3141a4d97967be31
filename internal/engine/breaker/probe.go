package breaker

import (
	"slices"
	"time"
)

// probe is a call that a half-open breaker has admitted. It occupies a place.
type probe struct {
	number  uint64
	started time.Duration

	answered func() bool // whether its server has answered; nil if that is not known
}

// full reports whether no probe can be admitted.
func (b *Breaker) full() bool { return len(b.probes) >= b.config.HalfOpenMaxCalls }

// place gives a new probe a place, and returns its number.
func (b *Breaker) place(now time.Duration) uint64 {
	b.probed++
	b.probes = append(b.probes, probe{number: b.probed, started: now})
	return b.probed
}

// watch keeps what reports whether the server of a probe has answered.
func (b *Breaker) watch(p *Permit, answered func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.load().generation() != p.generation {
		return
	}
	for i := range b.probes {
		if b.probes[i].number == p.probe {
			b.probes[i].answered = answered
		}
	}
}

// settle counts the probes that are successes although they have not ended, and frees their
// places.
func (b *Breaker) settle(now time.Duration) {
	for {
		i := slices.IndexFunc(b.probes, func(p probe) bool {
			return p.answered != nil && since(p.started, now) >= b.config.EstablishedAfter && p.answered()
		})
		if i < 0 {
			return
		}
		b.probes = slices.Delete(b.probes, i, i+1)
		b.succeed(now, now, false)
	}
}

// release frees the place of a probe. It returns false if the probe has lost its place.
func (b *Breaker) release(number uint64) bool {
	i := slices.IndexFunc(b.probes, func(p probe) bool { return p.number == number })
	if i < 0 {
		return false
	}
	b.probes = slices.Delete(b.probes, i, i+1)
	return true
}

// lapse frees the places of probes that exceed ProbeTimeout.
func (b *Breaker) lapse(now time.Duration) {
	if limit := b.config.ProbeTimeout; limit > 0 {
		b.probes = slices.DeleteFunc(b.probes, func(p probe) bool { return since(p.started, now) >= limit })
	}
}

// lapseAfter returns the time until a probe loses its place, or 0 if none will.
func (b *Breaker) lapseAfter(now time.Duration) time.Duration {
	wait := b.config.ProbeTimeout
	if wait == 0 {
		return 0
	}
	for _, p := range b.probes {
		wait = min(wait, b.config.ProbeTimeout-since(p.started, now))
	}
	return wait
}
