package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// Breaker is a circuit breaker. Make it with [New].
type Breaker struct {
	config Config
	word   atomic.Uint64 // a word; mu guards writes

	mu       sync.Mutex // guards the fields below
	failures int        // consecutive
	opened   time.Duration
	probes   []probe // in the order of admission
	probed   uint64  // the number of the last probe
	reports
}

// New returns a closed breaker. A value that [Config.Validate] rejects counts as the least
// valid value.
func New(c Config) *Breaker {
	c.FailureThreshold = max(c.FailureThreshold, 1)
	c.OpenFor = max(c.OpenFor, 0)
	c.HalfOpenMaxCalls = max(c.HalfOpenMaxCalls, 1)
	c.ProbeTimeout = max(c.ProbeTimeout, 0)
	return &Breaker{config: c}
}

// Allow admits a call at the time now, or rejects it with a [*RejectedError]. The caller
// must call Done of the Permit of each admitted call. A closed breaker does not use the
// time.
func (b *Breaker) Allow(now time.Duration) (Permit, error) {
	if w := b.load(); w.state() == Closed {
		return Permit{breaker: b, generation: w.generation()}, nil
	}
	w, number, err := b.admit(now)
	if err != nil {
		return Permit{}, err
	}
	return Permit{breaker: b, generation: w.generation(), probe: number}, nil
}

// admit is Allow with the lock. number is that of the probe, or 0.
func (b *Breaker) admit(now time.Duration) (w word, number uint64, err error) {
	b.mu.Lock()
	defer b.unlock()
	b.catchUp(now)
	switch b.load().state() {
	case Closed: // since Allow read the state
		return b.load(), 0, nil
	case Open:
		if left := b.config.OpenFor - since(b.opened, now); left > 0 {
			return 0, 0, &RejectedError{Open, left}
		}
		b.change(HalfOpen, now)
	case HalfOpen:
		b.lapse(now)
	}
	if b.full() {
		return 0, 0, &RejectedError{HalfOpen, b.lapseAfter(now)}
	}
	return b.load(), b.place(now), nil
}

// done ends a call that was admitted in a generation. number is that of the probe, or 0.
func (b *Breaker) done(generation, number uint64, now time.Duration, o Outcome) {
	if w := b.load(); w.generation() != generation || !w.affectedBy(o) {
		return
	}
	b.mu.Lock()
	defer b.unlock()
	w := b.load()
	if w.generation() != generation || w.state() == HalfOpen && !b.release(number) {
		return
	}
	switch o {
	case Success:
		b.succeed(now)
	case Failure:
		b.fail(now)
	case Neutral:
	}
}

func (b *Breaker) succeed(now time.Duration) {
	b.failures = 0
	if b.load().state() == HalfOpen {
		b.change(Closed, now)
		return
	}
	b.store(Closed, b.load().generation())
}

func (b *Breaker) fail(now time.Duration) {
	b.failures++
	if b.load().state() == HalfOpen || b.failures >= b.config.FailureThreshold {
		b.opened = now
		b.change(Open, now)
		return
	}
	b.store(Closed, b.load().generation())
}

// change begins a new generation.
func (b *Breaker) change(to State, now time.Duration) {
	w := b.load()
	b.probes = b.probes[:0]
	b.store(to, w.generation()+1)
	if b.config.OnChange != nil {
		b.pending = append(b.pending, Change{From: w.state(), To: to, At: now, Failures: b.failures})
	}
}

func (b *Breaker) load() word { return word(b.word.Load()) }

// store publishes a change. Each call stores once, so that readers without the lock see
// consistent values.
func (b *Breaker) store(s State, generation uint64) {
	b.word.Store(uint64(newWord(s, b.failures, generation)))
}

// Snapshot returns the current state of the breaker.
func (b *Breaker) Snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.load()
	return Snapshot{State: w.state(), Failures: b.failures, Probes: len(b.probes), Changes: w.generation()}
}

// setBack is how far a time may be before an earlier one, because a goroutine was
// delayed between its reading of the clock and its call. Beyond that the clock counts as
// set back.
const setBack = 10 * time.Second

// catchUp replaces times that are after now, because the clock was set back, with now.
func (b *Breaker) catchUp(now time.Duration) {
	if b.opened-now > setBack {
		b.opened = now
	}
	for i := range b.probes {
		if b.probes[i].started-now > setBack {
			b.probes[i].started = now
		}
	}
}

// since returns the time from at to now, or 0 if at is after now.
func since(at, now time.Duration) time.Duration { return max(now-at, 0) }
