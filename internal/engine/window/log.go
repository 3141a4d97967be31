package window

import (
	"sync"
	"time"
)

const (
	minEntries = 4
	maxEntries = 1 << 10 // live at any time: see Limit.grain
)

// Log is the state of one key with a sliding window. In the zero value no permits are taken. A
// Log is safe for concurrent use and must not be copied after first use.
type Log struct {
	mu    sync.Mutex
	ring  []entry // its length is a power of two
	head  int     // of the oldest entry
	live  int     // entries
	taken int     // permits in all entries
}

// entry records permits that were taken, and the time of the last of them.
type entry struct {
	at time.Duration
	n  int
}

// Allow takes n permits at the time now, or none. If n is 0 or negative, it takes none and OK
// is true, unless the log is in debt. All calls on a Log must use the same Limit.
func (g *Log) Allow(l *Limit, now time.Duration, n int) Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	now = g.catchUp(now)
	d := g.decide(l, now, max(n, 0))
	if d.OK && n > 0 {
		g.add(now, n, l.grain)
		d.ResetAfter = g.reset(l, now)
	}
	return d
}

// Check returns the decision that Allow would return, and takes no permits: ResetAfter is that of
// the permits that are taken.
func (g *Log) Check(l *Limit, now time.Duration, n int) Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.decide(l, g.catchUp(now), max(n, 0))
}

// Charge takes n permits even if there are none, up to twice the limit in all. Negative permits
// are given back, those that were taken last.
func (g *Log) Charge(l *Limit, now time.Duration, n int) Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	now = g.catchUp(now)
	g.expire(now, l.period)
	if more := charged(l, g.taken, n) - g.taken; more > 0 {
		g.add(now, more, l.grain)
	} else {
		g.giveBack(-more)
	}
	return Decision{OK: true, Remaining: max(l.permits-g.taken, 0), ResetAfter: g.reset(l, now)}
}

// giveBack removes the n permits that were taken last.
func (g *Log) giveBack(n int) {
	for n > 0 && g.live > 0 {
		last := g.entry(g.live - 1)
		part := min(n, last.n)
		n, last.n, g.taken = n-part, last.n-part, g.taken-part
		if last.n == 0 {
			g.live--
		}
	}
}

// decide returns the decision on n permits.
func (g *Log) decide(l *Limit, now time.Duration, n int) Decision {
	g.expire(now, l.period)
	free := l.permits - g.taken
	if n > free {
		return Decision{RetryAfter: g.wait(l, now, n-free), Remaining: max(free, 0), ResetAfter: g.reset(l, now)}
	}
	return Decision{OK: true, Remaining: free - n, ResetAfter: g.reset(l, now)}
}

// catchUp returns the later of now and the last recorded time. If the clock was set back, it
// moves the entries back by the same duration.
func (g *Log) catchUp(now time.Duration) time.Duration {
	if g.live == 0 {
		return now
	}
	behind := g.entry(g.live-1).at - now
	if behind <= setBack {
		return now + max(behind, 0)
	}
	for i := range g.live {
		g.entry(i).at -= behind
	}
	return now
}

// expire drops the permits that were taken a period ago.
func (g *Log) expire(now, period time.Duration) {
	for ; g.live > 0 && now-g.entry(0).at >= period; g.live-- {
		g.taken -= g.entry(0).n
		g.head = (g.head + 1) & (len(g.ring) - 1)
	}
}

// add puts n into the last entry if that is of the same grain, or into a new one.
func (g *Log) add(now time.Duration, n int, grain time.Duration) {
	g.taken += n
	if g.live > 0 {
		if last := g.entry(g.live - 1); last.at-floor(now, grain) >= 0 {
			last.at, last.n = now, last.n+n
			return
		}
	}
	if g.live == len(g.ring) {
		g.grow()
	}
	g.live++
	*g.entry(g.live - 1) = entry{now, n}
}

func (g *Log) grow() {
	ring := make([]entry, max(2*len(g.ring), minEntries))
	n := copy(ring, g.ring[g.head:])
	copy(ring[n:], g.ring[:g.head])
	g.ring, g.head = ring, 0
}

// entry returns the i-th oldest entry. The ring must not be empty.
func (g *Log) entry(i int) *entry { return &g.ring[(g.head+i)&(len(g.ring)-1)] }

// wait returns the time until n permits have returned.
func (g *Log) wait(l *Limit, now time.Duration, n int) time.Duration {
	for i := range g.live {
		if n -= g.entry(i).n; n <= 0 {
			return l.period - (now - g.entry(i).at)
		}
	}
	return Never
}

// reset returns the time until all permits have returned.
func (g *Log) reset(l *Limit, now time.Duration) time.Duration {
	if g.live == 0 {
		return 0
	}
	return l.period - (now - g.entry(g.live-1).at)
}
