package window

import (
	"sync"
	"time"
)

// Counter is the state of one key under fixed windows. The zero value has taken
// nothing. It is safe for concurrent use, and must not be copied after first use.
type Counter struct {
	mu    sync.Mutex
	start time.Duration // of the window in which permits were taken
	taken int
}

// Allow takes n permits at the time now, or none. It takes nothing and is OK for
// n of 0 or less: so the state can be read. All calls on a Counter must have the
// same Limit.
func (c *Counter) Allow(l *Limit, now time.Duration, n int) Decision {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = c.catchUp(now, l.period)
	free := l.permits - c.taken
	if n = max(n, 0); n > free {
		return Decision{RetryAfter: c.wait(l, now, n), Remaining: free, ResetAfter: c.reset(l, now)}
	}
	c.taken += n
	return Decision{OK: true, Remaining: free - n, ResetAfter: c.reset(l, now)}
}

// catchUp turns to the window of now and returns now, or the beginning of the
// present window if that is later. If the clock was set back, what was taken
// counts for the window of now.
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

// wait returns how long until n permits can be taken.
func (c *Counter) wait(l *Limit, now time.Duration, n int) time.Duration {
	if n > l.permits {
		return Never
	}
	return l.period - (now - c.start)
}

// reset returns how long until all permits can be taken.
func (c *Counter) reset(l *Limit, now time.Duration) time.Duration {
	if c.taken == 0 {
		return 0
	}
	return l.period - (now - c.start)
}

// floor returns the last whole multiple of unit at or before now. It may wrap: only
// differences from it count. A unit of 0, of the zero Limit, is taken as 1.
func floor(now, unit time.Duration) time.Duration {
	over := now % max(unit, 1)
	if over < 0 {
		over += unit
	}
	return now - over
}
