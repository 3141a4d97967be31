package contract_test

import (
	"context"
	"slices"
	"sync"
	"time"
)

// clock is the clock of breakers, limiters and retries. A manual clock advances only in the
// scenario's steps and in backoff sleeps, which then take no time. Sleeps are recorded with both
// clocks.
type clock struct {
	manual bool

	mu     sync.Mutex
	at     time.Time // of the manual clock
	sleeps []int64   // in milliseconds
}

// newClock returns a clock. The manual clock starts at the Unix epoch, so that fixed windows begin
// at the same times as in grpcio's scenarios: at multiples of their length since the start.
func newClock(manual bool) *clock { return &clock{manual: manual, at: time.Unix(0, 0).UTC()} }

func (c *clock) now() time.Time {
	if !c.manual {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// sleep waits as a retry does between attempts, unless the call's deadline, in real time, would
// pass.
func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	takes := d
	if c.manual {
		takes = 0
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= takes {
		return context.DeadlineExceeded
	}
	c.mu.Lock()
	c.sleeps = append(c.sleeps, d.Round(time.Millisecond).Milliseconds())
	c.mu.Unlock()
	if c.manual {
		c.advance(d)
	}
	return wait(ctx, takes)
}

// slept returns the recorded sleeps.
func (c *clock) slept() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int64{}, slices.Clone(c.sleeps)...)
}

// wait waits in real time, for a script or a step.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
