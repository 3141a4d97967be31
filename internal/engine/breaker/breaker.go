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
	failed atomic.Uint64 // how many failures have counted; mu guards writes

	mu       sync.Mutex    // guards the fields below
	failures int           // consecutive
	failedAt time.Duration // when the last failure counted
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
	c.EstablishedAfter = max(c.EstablishedAfter, 0)
	return &Breaker{config: c}
}

// Allow admits a call at the time now, or rejects it with a [*RejectedError]. The caller
// must call Done of the Permit of each admitted call.
func (b *Breaker) Allow(now time.Duration) (Permit, error) {
	if w := b.load(); w.state() == Closed {
		return Permit{breaker: b, generation: w.generation(), started: now, failed: b.failed.Load()}, nil
	}
	w, number, err := b.admit(now)
	if err != nil {
		return Permit{}, err
	}
	return Permit{
		breaker: b, generation: w.generation(), probe: number, started: now, failed: b.failed.Load(),
	}, nil
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
		if b.established(now) {
			b.succeed(now)
			return b.load(), 0, nil
		}
		b.lapse(now)
	}
	if b.full() {
		return 0, 0, &RejectedError{HalfOpen, b.lapseAfter(now)}
	}
	return b.load(), b.place(now), nil
}

// done ends a call with an outcome.
func (b *Breaker) done(p *Permit, now time.Duration, o Outcome) {
	if w := b.load(); w.generation() != p.generation || !w.affectedBy(o) {
		return
	}
	b.mu.Lock()
	defer b.unlock()
	if b.takesBack(p) {
		b.count(now, o)
	}
}

// doneAnswered is done for a call that its server has answered.
func (b *Breaker) doneAnswered(p *Permit, now time.Duration, o Outcome) {
	w := b.load()
	if w.generation() != p.generation || !w.affectedBy(o) && !w.affectedBy(Success) {
		return
	}
	b.mu.Lock()
	defer b.unlock()
	if !b.takesBack(p) {
		return
	}
	if o != Success {
		o = b.answered(p, now, o)
	}
	b.count(now, o)
}

// answered returns what the outcome of a call counts as that its server has answered. A
// probe is never followed by a failure of its generation.
func (b *Breaker) answered(p *Permit, now time.Duration, o Outcome) Outcome {
	alone := b.failed.Load() == p.failed // no failure has counted since the call was admitted
	switch limit := b.config.EstablishedAfter; {
	case since(p.started, now) >= limit && (alone || since(p.started, b.failedAt) < limit):
		return Success // at a moment after the last failure
	case alone:
		return o
	default:
		return Neutral
	}
}

// takesBack frees the place of a call's probe, and reports whether its outcome counts.
func (b *Breaker) takesBack(p *Permit) bool {
	w := b.load()
	return w.generation() == p.generation && (w.state() != HalfOpen || b.release(p.probe))
}

// count counts an outcome.
func (b *Breaker) count(now time.Duration, o Outcome) {
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
	b.failedAt = now
	b.failed.Add(1)
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
