package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// Breaker is a circuit breaker. Make it with [New].
type Breaker struct {
	config Config
	word   atomic.Uint64 // a word; mu guards writes, except those of settled
	failed atomic.Uint64 // how many failures have counted; mu guards writes
	window *window       // nil if there is none

	mu        sync.Mutex // guards the fields below
	mode      Mode
	failures  int           // consecutive
	failedAt  time.Duration // when the last failure counted
	opened    time.Duration
	openFor   time.Duration // from opened on
	openings  int           // since the breaker was closed
	successes int           // of probes
	probes    []probe       // in the order of admission
	probed    uint64        // the number of the last probe
	reports
}

// New returns a breaker that is closed, unless its mode is ForcedOpen. A value that
// [Config.Validate] rejects counts as the least valid value, and a window without a ratio as none.
func New(c Config) *Breaker {
	b := &Breaker{window: newWindow(c.Window), mode: c.Mode}
	if b.window == nil || c.FailureThreshold < 0 {
		c.FailureThreshold = max(c.FailureThreshold, 1)
	}
	c.OpenFor = max(c.OpenFor, 0)
	c.HalfOpenMaxCalls = max(c.HalfOpenMaxCalls, 1)
	c.SuccessThreshold = max(c.SuccessThreshold, 1)
	c.ProbeTimeout = max(c.ProbeTimeout, 0)
	c.EstablishedAfter = max(c.EstablishedAfter, 0)
	b.config = c
	first := Closed
	if c.Mode == ForcedOpen {
		first = Open
	}
	b.word.Store(uint64(newWord(first, 0, c.Mode, 0)))
	return b
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
	b.lock()
	defer b.unlock()
	b.catchUp(now)
	switch b.load().state() {
	case Closed: // since Allow read the state
		return b.load(), 0, nil
	case Open:
		if b.mode == ForcedOpen {
			return 0, 0, &RejectedError{State: Open, Forced: true}
		}
		if left := b.openFor - since(b.opened, now); left > 0 {
			return 0, 0, &RejectedError{State: Open, RetryAfter: left}
		}
		b.change(HalfOpen, now)
	case HalfOpen:
		b.settle(now)
		if b.load().state() == Closed {
			return b.load(), 0, nil
		}
		b.lapse(now)
	}
	if b.full() {
		return 0, 0, &RejectedError{State: HalfOpen, RetryAfter: b.lapseAfter(now)}
	}
	return b.load(), b.place(now), nil
}

// done ends a call with an outcome.
func (b *Breaker) done(p *Permit, now time.Duration, o Outcome) {
	slow := o != Neutral && b.isSlow(since(p.started, now))
	if b.settled(p, o, slow) {
		return
	}
	b.lock()
	defer b.unlock()
	if b.takesBack(p) {
		b.count(p, now, o, slow)
	}
}

// isSlow reports whether a call is slow that took a time.
func (b *Breaker) isSlow(took time.Duration) bool {
	return b.window != nil && b.window.config.SlowRatio > 0 && took >= b.window.config.SlowAfter
}

// settled counts an outcome without the lock. It returns false if that needs the lock.
func (b *Breaker) settled(p *Permit, o Outcome, slow bool) bool {
	for {
		w := b.load()
		switch {
		case w.generation() != p.generation || w&forced != 0:
			return true
		case w.affectedBy(o):
			return false
		case o != Success || b.window == nil:
			return true
		case slow, w&busy != 0, w.pending() == maxPending, int64(p.started) >= b.window.until.Load():
			return false
		case b.word.CompareAndSwap(uint64(w), uint64(w+onePending)):
			return true
		}
	}
}

// doneAnswered is done for a call that its server has answered.
func (b *Breaker) doneAnswered(p *Permit, now, took time.Duration, o Outcome) {
	slow := b.isSlow(took)
	if o == Success && b.settled(p, o, slow) {
		return
	}
	// As a success o may count in the window, or reset failures.
	if w := b.load(); w.generation() != p.generation ||
		b.window == nil && !w.affectedBy(o) && !w.affectedBy(Success) {
		return
	}
	b.lock()
	defer b.unlock()
	if !b.takesBack(p) {
		return
	}
	if o != Success {
		o = b.answered(p, now, o)
	}
	b.count(p, now, o, slow)
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
	return w.generation() == p.generation && b.mode == Automatic && (w.state() != HalfOpen || b.release(p.probe))
}

// count counts an outcome.
func (b *Breaker) count(p *Permit, now time.Duration, o Outcome, slow bool) {
	switch o {
	case Success:
		b.succeed(p.started, now, slow)
	case Failure:
		b.fail(now, slow)
	case Neutral:
	}
}

// succeed counts a success of a call that started at a time.
func (b *Breaker) succeed(started, now time.Duration, slow bool) {
	b.failures = 0
	switch state := b.load().state(); {
	case state == HalfOpen && slow:
		b.open(now)
		return
	case state == HalfOpen:
		b.successes++
		if b.successes >= b.config.SuccessThreshold {
			b.openings = 0
			b.change(Closed, now)
			return
		}
	case b.window != nil && slow:
		b.window.advance(now)
		if b.tripped(false, slow) {
			b.open(now)
			return
		}
	case b.window != nil:
		if int64(started) >= b.window.until.Load() {
			b.window.advance(started)
		}
		b.window.count(false, false)
	}
	b.store(b.load().state(), b.load().generation())
}

func (b *Breaker) fail(now time.Duration, slow bool) {
	b.failures++
	b.failedAt = now
	b.failed.Add(1)
	opens := b.load().state() == HalfOpen || b.config.FailureThreshold > 0 && b.failures >= b.config.FailureThreshold
	if b.window != nil && b.load().state() == Closed {
		b.window.advance(now)
		opens = b.tripped(true, slow) || opens
	}
	if opens {
		b.open(now)
		return
	}
	b.store(Closed, b.load().generation())
}

// tripped counts a call in the window, and reports whether the window opens the breaker.
func (b *Breaker) tripped(failed, slow bool) bool {
	b.window.count(failed, slow)
	return b.window.trips()
}

func (b *Breaker) open(now time.Duration) {
	b.opened, b.openFor = now, b.config.OpenFor
	b.openings++
	if b.config.Growing != nil {
		b.openFor = max(b.config.Growing(b.openings), 0)
	}
	b.change(Open, now)
}

// change begins a new generation.
func (b *Breaker) change(to State, now time.Duration) {
	w := b.load()
	if b.config.OnChange != nil {
		c := Change{From: w.state(), To: to, Mode: b.mode, At: now, Failures: b.failures}
		if to == Open {
			c.OpenFor = b.openFor
		}
		if b.window != nil {
			c.Window = b.window.counts
		}
		b.pending = append(b.pending, c)
	}
	b.probes = b.probes[:0]
	b.successes = 0
	if b.window != nil {
		b.window.clear()
	}
	b.store(to, w.generation()+1)
}

func (b *Breaker) load() word { return word(b.word.Load()) }

// store publishes a change. Each call stores once, so that readers without the lock see
// consistent values.
func (b *Breaker) store(s State, generation uint64) {
	w := newWord(s, b.failures, b.mode, generation)
	if b.window != nil {
		w = w.locked()
	}
	b.word.Store(uint64(w))
}

// lock takes the lock, and moves the successes that were counted without it into the window.
func (b *Breaker) lock() {
	b.mu.Lock()
	if b.window == nil {
		return
	}
	w := word(b.word.Or(uint64(busy)))
	b.window.succeeded(w.pending())
	b.word.Store(uint64(w.locked()))
}

// leave releases the lock.
func (b *Breaker) leave() {
	if b.window != nil {
		b.word.And(^uint64(busy))
	}
	b.mu.Unlock()
}

// Snapshot returns the current state of the breaker.
func (b *Breaker) Snapshot() Snapshot {
	b.lock()
	defer b.leave()
	w := b.load()
	s := Snapshot{
		State: w.state(), Mode: b.mode, Failures: b.failures, Successes: b.successes, Probes: len(b.probes),
		Changes: w.generation(),
	}
	if b.window != nil {
		s.Window = b.window.counts
	}
	return s
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
