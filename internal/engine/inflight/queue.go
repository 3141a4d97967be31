package inflight

import (
	"slices"
	"time"
)

// Ticket is a call that waits. Its methods are those of the limiter that made it.
type Ticket struct {
	limiter  *Limiter
	tenant   *tenant
	priority int
	number   uint64 // in the order of arrival
	deadline time.Duration
	limited  bool // it has a deadline
	until    time.Duration
	hurried  bool // until is because of the deadline
	notify   func()

	// Guarded by the limiter.
	done bool
	err  error // if it is done
	slot Slot  // if it is done without an error
}

// Enqueue admits a call at the time now, lets it wait, or rejects it: [Ticket.Result] returns which.
// If it waits, notify is called once when it is done, unless Cancel or Expire end it. notify must
// not block and must not use the limiter.
func (l *Limiter) Enqueue(now time.Duration, r *Request, notifier func()) *Ticket {
	l.mu.Lock()
	k := &Ticket{
		limiter: l, tenant: l.activate(r.Tenant, now), priority: r.Priority,
		deadline: r.Deadline, limited: r.HasDeadline, until: now + l.config.MaxWait, notify: notifier,
	}
	woken := l.enqueue(k, now)
	l.mu.Unlock()
	notify(woken)
	return k
}

// enqueue is Enqueue with the lock. It returns a ticket that was displaced.
func (l *Limiter) enqueue(k *Ticket, now time.Duration) (woken []*Ticket) {
	l.arrivals++
	k.number = l.arrivals
	if l.admissible(k.tenant) {
		l.admit(k, now)
		return nil
	}
	if k.hopeless(now) {
		l.drop(k, ErrNoTime, &l.counts.NoTime)
		return nil
	}
	if last := k.deadline - k.tenant.took.least(); k.limited && last < k.until {
		k.until, k.hurried = last, true
	}
	if l.waiting >= l.config.MaxWaiting {
		victim := l.victim(k)
		if victim == nil {
			l.drop(k, ErrFull, &l.counts.Full)
			return nil
		}
		l.remove(victim)
		l.drop(victim, ErrDisplaced, &l.counts.Displaced)
		woken = append(woken, victim)
	}
	l.insert(k)
	return woken
}

// admit admits the call of a ticket that is in no queue.
func (l *Limiter) admit(k *Ticket, now time.Duration) {
	k.done = true
	l.start(k.tenant, now, &k.slot)
}

// drop rejects the call of a ticket that is in no queue.
func (l *Limiter) drop(k *Ticket, err error, count *uint64) {
	k.done, k.err = true, err
	*count++
	if k.tenant.demand() == 0 {
		k.tenant.unlink()
		l.push(k.tenant)
	}
}

// hopeless reports whether a call cannot finish before its deadline.
func (k *Ticket) hopeless(now time.Duration) bool {
	return k.limited && k.deadline-now < max(k.tenant.took.least(), 1)
}

// insert puts a ticket into the queue of its tenant.
func (l *Limiter) insert(k *Ticket) {
	t := k.tenant
	if t.demand() == 0 {
		t.unlink()
	}
	i := len(t.queue)
	for i > 0 && t.queue[i-1].priority < k.priority {
		i--
	}
	if len(t.queue) == 0 {
		l.queued = append(l.queued, t)
	}
	t.queue = slices.Insert(t.queue, i, k)
	l.waiting++
}

// remove takes a ticket out of the queue of its tenant.
func (l *Limiter) remove(k *Ticket) {
	t := k.tenant
	i := slices.Index(t.queue, k)
	t.queue = slices.Delete(t.queue, i, i+1)
	l.waiting--
	if len(t.queue) == 0 {
		at := slices.Index(l.queued, t)
		l.queued = slices.Delete(l.queued, at, at+1)
		t.queue = nil
	}
}

// victim returns the ticket that k displaces in a full queue, or nil.
func (l *Limiter) victim(k *Ticket) *Ticket {
	own := k.tenant.demand() + 1
	var victim *Ticket
	for _, t := range l.queued {
		newest := t.queue[len(t.queue)-1]
		demand := t.demand()
		if demand <= own && (demand < own && t != k.tenant || newest.priority >= k.priority) {
			continue
		}
		if victim == nil || demand > victim.tenant.demand() ||
			demand == victim.tenant.demand() && newest.priority < victim.priority {
			victim = newest
		}
	}
	return victim
}

// dispatch gives free slots to calls that wait, and drops those that cannot finish. It returns
// the tickets that are done.
func (l *Limiter) dispatch(now time.Duration) (woken []*Ticket) {
	for l.waiting > 0 && l.running < l.limit {
		best := l.best()
		if best == nil {
			return woken
		}
		l.remove(best)
		if best.hopeless(now) {
			l.drop(best, ErrNoTime, &l.counts.NoTime)
		} else {
			l.admit(best, now)
		}
		woken = append(woken, best)
	}
	return woken
}

// best returns the ticket that gets the next slot, or nil.
func (l *Limiter) best() *Ticket {
	var best *Ticket
	for _, t := range l.queued {
		if first := t.queue[0]; l.admissible(t) && (best == nil || l.before(first, best)) {
			best = first
		}
	}
	return best
}

// before reports whether a gets a slot before b, of another tenant.
func (l *Limiter) before(a, b *Ticket) bool {
	below, other := a.tenant.running < l.share, b.tenant.running < l.share
	switch {
	case below != other:
		return below
	case a.priority != b.priority:
		return a.priority > b.priority
	case a.tenant.running != b.tenant.running:
		return a.tenant.running < b.tenant.running
	default:
		return a.number < b.number
	}
}

// notify calls the functions of tickets that are done, without the lock.
func notify(woken []*Ticket) {
	for _, k := range woken {
		k.notify()
	}
}

// Result reports whether the ticket is done. If it is done without an error, the call was
// admitted, and its slot is moved to s.
func (k *Ticket) Result(s *Slot) (done bool, err error) {
	k.limiter.mu.Lock()
	defer k.limiter.mu.Unlock()
	if k.done && k.err == nil {
		if k.slot.Held() {
			k.limiter.counts.Admitted++
		}
		*s, k.slot = k.slot, Slot{}
	}
	return k.done, k.err
}

// Until returns the time at which Expire must be called.
func (k *Ticket) Until() time.Duration { return k.until }

// Expire ends the waiting at the time now, which is not before Until. A call that has been
// admitted, or can be, stays so; call Result after it.
func (k *Ticket) Expire(now time.Duration) {
	l := k.limiter
	l.mu.Lock()
	if !k.done {
		l.lapse(now) // shares that are no longer held
	}
	var woken []*Ticket
	switch {
	case k.done:
	case l.admissible(k.tenant) && !k.hopeless(now):
		l.remove(k)
		l.admit(k, now)
	default:
		l.remove(k)
		if k.hurried {
			l.drop(k, ErrNoTime, &l.counts.NoTime)
		} else {
			l.drop(k, ErrWaited, &l.counts.Waited)
		}
		woken = l.dispatch(now)
	}
	l.mu.Unlock()
	notify(woken)
}

// Cancel ends the waiting of a call that was cancelled. If it has been admitted, its slot
// is free again.
func (k *Ticket) Cancel(now time.Duration) {
	l := k.limiter
	l.mu.Lock()
	if !k.done {
		l.remove(k)
		l.drop(k, ErrFull, &l.counts.Left)
	}
	s := k.slot
	k.slot = Slot{}
	if s.Held() {
		l.counts.Left++
	}
	l.mu.Unlock()
	l.Release(now, &s, false)
}
