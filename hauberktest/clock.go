package hauberktest

import (
	"sync"
	"time"
)

// Clock is a clock that advances only if the test calls [Clock.Advance]. Pass its method Now to
// options such as WithClock. It is safe for concurrent use. For code with timers, use
// testing/synctest instead.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock whose time is the start of 2026, UTC.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)}
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance adds d, which may be negative, to the clock's time.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
