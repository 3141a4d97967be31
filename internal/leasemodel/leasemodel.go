// Package leasemodel is the store of a shared limit in the plainest form: the state of one key, as the
// script of the Redis store keeps it. Tests compare the script with it, and simulate many nodes.
package leasemodel

import (
	"math"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
)

// Limit describes the limit of a quota. Times are whole microseconds.
type Limit struct {
	Permits int
	Per     time.Duration
	Burst   int // Permits, unless Kind is lease.Even
	Kind    lease.Kind
	Room    int // permits that are reserved at a time
	Grains  int // entries of a sliding window
}

// setBack is how much earlier than the last one a time can be before the clock counts as set back.
const setBack = 10 * time.Second

// Quota is the state of one key. The zero value is whole.
type Quota struct {
	used float64       // Even, in parts of a permit: Per of them
	at   time.Duration // Even: of used; Fixed: the start of the window
	busy time.Duration // Even: since when used is above 0

	taken   int // Fixed, Sliding
	entries []entry
}

// entry is a number of permits of a sliding window that return a period after at.
type entry struct {
	id int64
	at time.Duration
	n  int
}

// Do answers a request at the time now, in whole microseconds since 1970.
func (q *Quota) Do(l *Limit, now time.Duration, a lease.Ask) lease.Answer {
	switch l.Kind {
	case lease.Even:
		return q.even(l, now, a)
	case lease.Fixed:
		return q.fixed(l, now, a)
	default:
		return q.sliding(l, now, a)
	}
}

func us(parts float64, permits int) time.Duration {
	return time.Duration(math.Ceil(parts/float64(permits))) * time.Microsecond
}

func (q *Quota) even(l *Limit, now time.Duration, a lease.Ask) lease.Answer {
	per, permits := float64(l.Per/time.Microsecond), float64(l.Permits)
	burst := float64(l.Burst) * per
	if q.at-now > setBack {
		q.at, q.busy = now, min(q.busy, now)
	}
	now = max(now, q.at)
	q.used = max(q.used-float64((now-q.at)/time.Microsecond)*permits, 0)
	q.at = now
	if q.used == 0 {
		q.busy = now
	}
	// Permits of an earlier busy period have returned already.
	if a.ID == 0 || a.ID >= int64(q.busy/time.Microsecond) {
		q.used = max(q.used-float64(a.Back)*per, 0)
	}
	wait := func(n int) time.Duration { return max(us(q.used+float64(n)*per-burst, l.Permits), 0) }
	free := func() int { return max(int(math.Floor((burst-q.used)/per)), 0) }
	need, want := a.Need, a.Want
	ans := lease.Answer{OK: need == 0 || need <= free()}
	if !ans.OK {
		ans.Retry = wait(need)
		if need > l.Burst {
			ans.Retry = lease.Never
		}
		want = max(want, 1)
	} else {
		extra := min(want, free()-need)
		q.used += float64(need+extra) * per
		ans.Granted = need + extra
		want -= extra
	}
	ans.Worth = wait(min(max(a.Need, want), l.Burst))
	ans.Remaining = free()
	ans.Next = wait(ans.Remaining + 1)
	if a.Reserve && want > 0 && ans.Remaining == 0 {
		room := l.Room + int(math.Floor((burst-q.used)/per))
		if room > 0 {
			ans.Reserved = min(want, max(room/2, 1))
			q.used += float64(ans.Reserved) * per
		}
	}
	ans.Reset = us(q.used, l.Permits)
	ans.ID = int64(now / time.Microsecond)
	return ans
}

func (q *Quota) fixed(l *Limit, now time.Duration, a lease.Ask) lease.Answer {
	if q.at-now > setBack {
		q.at = now - now%l.Per
	}
	now = max(now, q.at)
	if start := now - now%l.Per; start > q.at {
		q.taken, q.at = 0, start
	}
	if a.ID == int64(q.at/time.Microsecond) || a.ID == 0 {
		q.taken = max(q.taken-a.Back, 0)
	}
	end := q.at + l.Per - now
	ans := lease.Answer{ID: int64(q.at / time.Microsecond), Valid: end, Next: end, Worth: end}
	if free := l.Permits - q.taken; a.Need == 0 || a.Need <= free {
		ans.OK = true
		ans.Granted = a.Need + max(min(a.Want, free-a.Need), 0)
		q.taken += ans.Granted
	} else {
		ans.Retry = end
		if a.Need > l.Permits {
			ans.Retry = lease.Never
		}
	}
	ans.Remaining = max(l.Permits-q.taken, 0)
	if q.taken > 0 {
		ans.Reset = end
	}
	return ans
}

func (q *Quota) sliding(l *Limit, now time.Duration, a lease.Ask) lease.Answer {
	if n := len(q.entries); n > 0 {
		if behind := q.entries[n-1].at - now; behind > setBack {
			for i := range q.entries {
				q.entries[i].at -= behind
			}
		}
	}
	for len(q.entries) > 0 && now-q.entries[0].at >= l.Per {
		q.taken -= q.entries[0].n
		q.entries = q.entries[1:]
	}
	q.giveBack(a.Back, a.ID)
	wait := func(n int) time.Duration {
		for _, e := range q.entries {
			if n -= e.n; n <= 0 {
				return e.at + l.Per - now
			}
		}
		return 0
	}
	ans := lease.Answer{}
	free := l.Permits - q.taken
	if ans.OK = a.Need == 0 || a.Need <= free; ans.OK {
		ans.Granted = a.Need + max(min(a.Want, free-a.Need), 0)
		q.add(l, now, ans.Granted)
	} else {
		ans.Retry = wait(a.Need - free)
		if a.Need > l.Permits {
			ans.Retry = lease.Never
		}
	}
	free = l.Permits - q.taken
	if n := len(q.entries); n > 0 {
		ans.Next = wait(max(1-free, 1))
		ans.Worth = wait(max(min(max(a.Need, a.Want), l.Permits)-free, 1))
		ans.Reset = q.entries[n-1].at + l.Per - now
		ans.ID = q.entries[n-1].id
	}
	ans.Remaining = max(free, 0)
	return ans
}

// giveBack returns permits of an entry, or of the oldest ones.
func (q *Quota) giveBack(n int, id int64) {
	for i := range q.entries {
		if e := &q.entries[i]; id == 0 || e.id == id {
			back := min(n, e.n)
			e.n -= back
			q.taken -= back
			n -= back
		}
	}
}

func (q *Quota) add(l *Limit, now time.Duration, n int) {
	if n == 0 {
		return
	}
	grain := time.Duration(1)
	if l.Permits > l.Grains {
		grain = time.Duration(math.Ceil(float64(l.Per/time.Microsecond)/float64(l.Grains-1))) * time.Microsecond
	}
	q.taken += n
	if last := len(q.entries) - 1; last >= 0 {
		if e := &q.entries[last]; e.at >= now-now%grain {
			e.at, e.n = max(e.at, now), e.n+n
			return
		}
	}
	id := int64(now / time.Microsecond)
	if last := len(q.entries) - 1; last >= 0 {
		id = q.entries[last].id + 1
	}
	q.entries = append(q.entries, entry{id, now, n})
}

// Charge takes n permits even if there are none, up to a debt of one burst. Negative ones are given back.
func (q *Quota) Charge(l *Limit, now time.Duration, n int) {
	if n < 0 {
		q.Do(l, now, lease.Ask{Back: -n})
		return
	}
	q.Do(l, now, lease.Ask{})
	switch l.Kind {
	case lease.Even:
		per := float64(l.Per / time.Microsecond)
		q.used = min(q.used+float64(n)*per, max(q.used, 2*float64(l.Burst)*per))
	case lease.Fixed:
		q.taken = max(q.taken, min(q.taken+n, 2*l.Permits))
	default:
		q.add(l, now, max(min(n, 2*l.Permits-q.taken), 0))
	}
}
