package window

import (
	"math"
	"sync"
	"time"
)

// Counter is the state of one key with fixed windows. In the zero value no permits are taken. A
// Counter is safe for concurrent use and must not be copied after first use.
type Counter struct {
	mu    sync.Mutex
	start time.Duration // of the window in which permits were taken
	taken int
}

// Allow takes n permits at the time now, or none. If n is 0 or negative, it takes none and OK
// is true, unless the counter is in debt. All calls on a Counter must use the same Limit.
func (c *Counter) Allow(l *Limit, now time.Duration, n int) Decision {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = c.catchUp(now, l.period)
	d := c.decide(l, now, max(n, 0))
	if d.OK && n > 0 {
		c.taken += n
		d.ResetAfter = c.reset(l, now)
	}
	return d
}

// Check returns the decision that Allow would return, and takes no permits: ResetAfter is that of
// the permits that are taken.
func (c *Counter) Check(l *Limit, now time.Duration, n int) Decision {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.decide(l, c.catchUp(now, l.period), max(n, 0))
}

// Charge takes n permits of the current window even if there are none, up to twice the limit in
// all. Negative permits are given back.
func (c *Counter) Charge(l *Limit, now time.Duration, n int) Decision {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = c.catchUp(now, l.period)
	c.taken = charged(l, c.taken, n)
	return Decision{OK: true, Remaining: max(l.permits-c.taken, 0), ResetAfter: c.reset(l, now)}
}

// charged returns how many permits are taken after n were charged.
func charged(l *Limit, taken, n int) int {
	most := 2 * min(l.permits, math.MaxInt/2)
	return min(max(taken+min(max(n, -most), most-max(taken, 0)), 0), most)
}

// decide returns the decision on n permits.
func (c *Counter) decide(l *Limit, now time.Duration, n int) Decision {
	free := l.permits - c.taken
	if n > free {
		return Decision{RetryAfter: c.wait(l, now, n), Remaining: max(free, 0), ResetAfter: c.reset(l, now)}
	}
	return Decision{OK: true, Remaining: free - n, ResetAfter: c.reset(l, now)}
}

// catchUp moves to the window of now. It returns now, or the start of the current window if
// that is later. If the clock was set back, the taken permits count for the window of now.
func (c *Counter) catchUp(now, period time.Duration) time.Duration {
	start := floor(now, period)
	switch {
	case c.taken == 0 || start-c.start > 0:
		c.start, c.taken = start, 0
	case c.start-now > setBack:
		c.start = start
	}
	return now + max(c.start-now, 0)
}

// wait returns the time until n permits can be taken.
func (c *Counter) wait(l *Limit, now time.Duration, n int) time.Duration {
	if n > l.permits {
		return Never
	}
	return l.period - (now - c.start)
}

// reset returns the time until all permits can be taken.
func (c *Counter) reset(l *Limit, now time.Duration) time.Duration {
	if c.taken == 0 {
		return 0
	}
	return l.period - (now - c.start)
}

// floor returns the last multiple of unit at or before now. It may wrap, since only
// differences from it are used. A unit of 0, that of the zero Limit, counts as 1.
func floor(now, unit time.Duration) time.Duration {
	over := now % max(unit, 1)
	if over < 0 {
		over += unit
	}
	return now - over
}
