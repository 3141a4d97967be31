package lease

import (
	"math"
	"time"
)

// Ask is a request to the store for one key.
//
//   - The store first adds Back to the quota: permits that it granted with the answer ID and that
//     were not used.
//   - It takes Need permits, or none.
//   - If it has taken them, it takes up to Want more.
//   - If Reserve is true and it has not taken all of that, it takes up to max(Want, 1) permits
//     that return next, less those it has taken of Want. They are reserved.
type Ask struct {
	Need, Want int
	Back       int
	ID         int64
	Reserve    bool

	sent        time.Duration
	flight      *Flight
	used, asked int // of the key, when the request began
}

// Answer is the answer of the store to an Ask. Times are from the moment at which the store
// decided.
type Answer struct {
	OK        bool          // Need was taken, or would have been if the other needs of the call had been met
	Granted   int           // permits that were taken now, Need included
	Reserved  int           // permits that return from Next on, one by one
	Next      time.Duration // until a permit returns
	Retry     time.Duration // until Need can be met; Never; 0 if OK
	Worth     time.Duration // until max(Need, Want) permits can be there
	Valid     time.Duration // until Granted loses its value; 0: never
	Remaining int
	Reset     time.Duration // until the quota is whole
	ID        int64         // for Ask.ID
}

// Flight is a request to the store that other requests wait for.
type Flight struct {
	done    chan struct{}
	waiting int // permits that others wait for; guarded by Key.mu
}

// Done is closed when the flight has ended.
func (f *Flight) Done() <-chan struct{} { return f.done }

// Begin returns the request to the store for n permits. If another one is in flight that may
// bring them, it returns that one: after its end the caller calls Take again. Each Ask must end
// with Land, Fail or Abort.
func (k *Key) Begin(l *Limit, now time.Duration, n int) (Ask, *Flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ask := Ask{Need: n, sent: now, used: k.used, asked: k.asked}
	if l.most == 0 {
		return ask, nil
	}
	if k.flight != nil {
		k.flight.waiting += n
		return Ask{}, k.flight
	}
	k.settle(l, now)
	k.flight = &Flight{done: make(chan struct{})}
	ask.flight = k.flight
	ask.Want = k.want(l, now)
	ask.Reserve = l.kind == Even
	// The rest of a lease goes back, and is asked for again: otherwise its permits would be
	// used later than they may.
	k.back += k.rest + k.reserved
	ask.Back, ask.ID = k.back, k.id
	k.back, k.rest, k.reserved = 0, 0, 0
	return ask, nil
}

// want returns the size of the next lease: as many permits as were asked for in the life of a lease, at
// most twice as many as were used since the last grant; and those that calls wait for. Most keys
// are not hot: the first request asks for no lease.
func (k *Key) want(l *Limit, now time.Duration) int {
	want := 0
	if k.begun {
		demand := float64(k.asked) * float64(l.life) / float64(max(now-k.since, 1))
		want = int(min(2*float64(k.used), demand, float64(l.most)))
	}
	return want + k.missed
}

// Abort ends a request that was not sent.
func (k *Key) Abort(a *Ask) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.back, k.id = k.back+a.Back, a.ID
	k.end(a)
}

// Fail ends a request without an answer.
func (k *Key) Fail(a *Ask) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end(a)
}

func (k *Key) end(a *Ask) {
	if a.flight != nil && k.flight == a.flight {
		k.flight = nil
		k.missed = a.flight.waiting
		close(a.flight.done)
	}
}

// Land ends a request with its answer. needed is false if the caller has left meanwhile: then its
// permits become part of the lease. Land returns the decision on the request, and the time at which
// Lapse must be called; 0 if it need not.
func (k *Key) Land(l *Limit, now time.Duration, a *Ask, ans *Answer, needed bool) (Decision, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.end(a)
	k.learn(l, now, a, ans)
	if ans.Granted > 0 || ans.Reserved > 0 {
		k.begun, k.since, k.used, k.asked = true, a.sent, k.used-a.used, k.asked-a.asked
	}
	extra := ans.Granted
	if needed && ans.Granted >= a.Need {
		extra -= a.Need
		k.used += a.Need
		k.asked += a.Need
	}
	if l.most > 0 && (extra > 0 || ans.Reserved > 0) {
		k.id = ans.ID
		k.rest, k.reserved = extra, ans.Reserved
		k.expires = a.sent + l.life
		if ans.Valid > 0 {
			k.expires = min(k.expires, a.sent+ans.Valid)
		}
		k.first, k.reservedUntil = now+ans.Next, a.sent+ans.Next+l.life
	}
	d := Decision{OK: ans.OK, RetryAfter: ans.Retry, Remaining: ans.Remaining, ResetAfter: ans.Reset}
	return d, k.lapses(l)
}

// learn keeps what an answer says about the quota.
func (k *Key) learn(l *Limit, now time.Duration, a *Ask, ans *Answer) {
	if k.known && a.sent < k.sent {
		return // of an older request than the last one
	}
	k.known, k.sent, k.at = true, a.sent, now
	k.free, k.unmet = ans.Remaining, math.MaxInt
	if !ans.OK {
		k.unmet = a.Need
	}
	k.next, k.retry, k.worth, k.reset = now+ans.Next, now, now, now+ans.Reset
	if ans.Reserved > 0 {
		k.next += l.after(ans.Reserved)
	}
	if ans.Retry != Never {
		k.retry = now + ans.Retry
	}
	if l.most > 0 && ans.Reserved == 0 && ans.Granted < a.Need+a.Want {
		k.worth = now + ans.Worth
	}
}

// lapses returns when the lease ends, if there is a new one that Lapse is not called for yet.
func (k *Key) lapses(l *Limit) time.Duration {
	if k.queued || k.rest+k.reserved+k.back == 0 {
		return 0
	}
	k.queued = true
	return k.ends() + l.grace()
}

// ends returns the time at which all that the node holds has ended.
func (k *Key) ends() time.Duration {
	if k.reserved > 0 {
		return max(k.expires, k.reservedUntil)
	}
	return k.expires
}

// Lapse returns the permits that go back to the store, with the ID of their answer. If the lease has
// not ended, it returns the time at which Lapse must be called again. With force it ends the lease.
func (k *Key) Lapse(l *Limit, now time.Duration, force bool) (back int, id int64, again time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settle(l, now)
	if force {
		k.back += k.rest + k.reserved
		k.rest, k.reserved = 0, 0
	}
	back, k.back = k.back, 0
	k.queued = k.rest+k.reserved > 0
	if k.queued {
		again = k.ends() + l.grace()
	}
	return back, k.id, again
}
