package lease

import (
	"sync"
	"time"
)

// Verdict is what a node does with a request.
type Verdict uint8

// The verdicts.
const (
	Unknown  Verdict = iota // ask the store: Begin
	Taken                   // from the lease
	Rejected                // by what the node knows
)

// Key is what a node holds and knows of a key. The zero value is that of a key that the node has not
// asked for. Safe for concurrent use; it must not be copied after first use.
type Key struct {
	mu sync.Mutex // guards all fields

	// The lease: rest permits until expires, and reserved ones that return one by one from first
	// on, until reservedUntil. back are those that go back to the store, with id.
	rest, reserved, back          int
	expires, first, reservedUntil time.Duration
	id                            int64
	queued                        bool // Lapse will be called

	// What the last answer said. Times are by the clock of the node.
	known    bool
	free     int           // permits
	unmet    int           // the number of permits that could not be taken, or MaxInt
	sent, at time.Duration // of the request and its answer
	next     time.Duration // when another permit returns
	retry    time.Duration // when the unmet ones can be taken
	worth    time.Duration // when a lease's worth can be there, if the answer granted less
	reset    time.Duration // when the quota is whole

	// Since the last grant: permits that were taken here, and that were asked for.
	begun       bool
	since       time.Duration
	used, asked int

	flight *Flight
	missed int // permits that calls waited for in the last flight
}

// Take takes n permits from the lease, or rejects them by what is known. A request for 0 permits asks
// for the state. repeated is true if the same request has called Take before.
func (k *Key) Take(l *Limit, now time.Duration, n int, repeated bool) (Decision, Verdict) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settle(l, now)
	if !repeated {
		k.asked += n
	}
	switch {
	case n > l.burst && k.known:
		return k.reject(l, now, Never)
	case n > 0 && n <= k.rest:
		k.rest -= n
		k.used += n
		if repeated {
			k.missed = max(k.missed-n, 0)
		}
		return k.state(l, now, true), Taken
	case n == 0 || !k.known || n <= k.free:
		return Decision{}, Unknown
	case n <= k.rest+k.reserved:
		return k.reject(l, now, k.first+l.after(n-k.rest-1)-now)
	}
	wait := k.next
	switch {
	case l.kind == Even:
		wait += l.after(n - k.free - 1)
	case n >= k.unmet:
		wait = k.retry
	}
	// An answer becomes stale: others give permits back, and the store can lose its data.
	if now >= min(max(wait, k.worth), k.at+l.stale) {
		return Decision{}, Unknown
	}
	return k.reject(l, now, wait-now)
}

// Forget makes the node ask the store again. Call it after permits were given back.
func (k *Key) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = false
}

func (k *Key) reject(l *Limit, now, wait time.Duration) (Decision, Verdict) {
	d := k.state(l, now, false)
	d.RetryAfter = max(wait, 1)
	return d, Rejected
}

// state returns a decision with what is known about the quota.
func (k *Key) state(l *Limit, now time.Duration, ok bool) Decision {
	free := k.free
	if l.kind == Even {
		free += l.within(now-k.at, l.burst)
	}
	return Decision{OK: ok, Remaining: max(min(free+k.rest, l.burst), 0), ResetAfter: max(k.reset-now, 0), id: k.id}
}

// Put undoes a Take that returned d, for a request that is rejected by another key.
func (k *Key) Put(n int, d Decision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.id == d.id { // otherwise they were of a window that has ended
		k.rest += n
	}
	k.used = max(k.used-n, 0)
}

// settle ends the lease if its time is up, and moves reserved permits to it that have returned.
func (k *Key) settle(l *Limit, now time.Duration) {
	if k.rest > 0 && now >= k.expires {
		k.back += k.rest
		k.rest = 0
	}
	if k.reserved > 0 && now >= k.reservedUntil { // the answer took longer than the life of a lease
		k.back += k.reserved
		k.reserved = 0
	}
	if k.reserved == 0 || now < k.first {
		return
	}
	n := 1 + l.within(now-k.first, k.reserved-1)
	if k.rest == 0 {
		k.expires = k.reservedUntil
	}
	k.rest += n
	k.reserved -= n
	k.first += l.after(n)
	if now >= k.expires {
		k.back += k.rest + k.reserved
		k.rest, k.reserved = 0, 0
	}
}
