package inflight

import (
	"sync"
	"time"
)

// Limiter limits calls in flight. Make it with [New].
//
//	Try ──▶ in flight ──▶ Release
//	 │          ▲
//	 ▼          │ a slot is free
//	Enqueue ─▶ waiting ──▶ Cancel, Expire, displaced by another call, no time left
//
// mu guards all fields and those of tenants and tickets.
type Limiter struct {
	config Config

	mu      sync.Mutex
	limit   int
	running int
	waiting int
	table
	recent
	queued   []*tenant // those with calls that wait
	arrivals uint64    // calls that waited or were rejected
	counts   Snapshot  // its counters
}

// New returns a limiter without calls. A value that [Config.Validate] rejects counts as the
// nearest valid value.
func New(c Config) *Limiter {
	c.Limit = min(max(c.Limit, 1), MaxLimit)
	c.MaxWaiting = min(max(c.MaxWaiting, 0), MaxWaiting)
	c.MaxWait = max(c.MaxWait, 0)
	if c.Hold <= 0 {
		c.Hold = DefaultHold
	}
	c.Timed = c.Timed || c.MaxWaiting > 0
	l := &Limiter{config: c, limit: c.Limit}
	l.init()
	return l
}

// Timed reports whether the limiter uses the times of Try and Release.
func (l *Limiter) Timed() bool { return l.config.Timed }

// Try admits a call at the time now and sets its slot, or returns false.
func (l *Limiter) Try(now time.Duration, r *Request, s *Slot) bool {
	l.mu.Lock()
	t := l.activate(r.Tenant, now)
	ok := l.admissible(t)
	if ok {
		l.start(t, now, s)
		l.counts.Admitted++
	}
	l.mu.Unlock()
	return ok
}

// Reject counts and returns ErrFull, for a call that Try rejected and that will not wait.
func (l *Limiter) Reject() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Full++
	return ErrFull
}

// admissible reports whether a call of a tenant can be admitted.
func (l *Limiter) admissible(t *tenant) bool {
	switch free := l.limit - l.running; {
	case free <= 0:
		return false
	case t.running < l.share:
		return true
	default: // it borrows
		return free > l.owed(t, l.limit)
	}
}

// start admits a call of a tenant.
func (l *Limiter) start(t *tenant, now time.Duration, s *Slot) {
	l.running++
	l.began(t)
	*s = Slot{tenant: t, started: now}
}

// Release frees a slot at the time now. It does nothing if s holds nothing.
// measured is set if the duration of the call is typical of others. It returns the number of calls
// that were in flight, including this one.
func (l *Limiter) Release(now time.Duration, s *Slot, measured bool) (running int) {
	t := s.tenant
	if t == nil {
		return 0
	}
	l.mu.Lock()
	s.tenant = nil
	running = l.running
	l.running--
	l.ended(t, now)
	if measured && l.config.Timed {
		l.add(now - s.started)
		t.took.add(now - s.started)
	}
	if l.waiting == 0 {
		l.mu.Unlock()
		return running
	}
	woken := l.dispatch(now)
	l.mu.Unlock()
	notify(woken)
	return running
}

// SetLimit changes the limit at the time now. Calls in flight beyond a lower limit go on.
func (l *Limiter) SetLimit(now time.Duration, limit int) {
	l.mu.Lock()
	l.limit = min(max(limit, 1), MaxLimit)
	l.reshare(l.limit)
	woken := l.dispatch(now)
	l.mu.Unlock()
	notify(woken)
}

// Running returns the number of calls in flight.
func (l *Limiter) Running() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

// Snapshot returns the state and the counters.
func (l *Limiter) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.counts
	s.Limit, s.Running, s.Waiting, s.Tenants = l.limit, l.running, l.waiting, len(l.tenants)
	return s
}

// Typical returns the median of the recent durations, or 0 if too few are known.
func (l *Limiter) Typical() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.median()
}
