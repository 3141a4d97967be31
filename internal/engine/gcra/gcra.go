package gcra

import (
	"math"
	"sync/atomic"
	"time"
)

// Never is the RetryAfter of a request that no wait would help: it asks for more
// permits than the burst.
const Never time.Duration = math.MaxInt64

// Decision answers one request for permits.
type Decision struct {
	// OK says whether the permits were taken. A rejection takes none.
	OK bool
	// RetryAfter is the least time after which the same request can be admitted,
	// if no one else takes permits meanwhile: 0 when OK, otherwise positive, and
	// [Never] if there is none.
	RetryAfter time.Duration
	// Remaining is how many permits could still be taken now.
	Remaining int
	// ResetAfter is the time until the bucket is full, if no one takes permits.
	ResetAfter time.Duration
}

// Bucket is the state of one key. The zero value is full. A Bucket takes 8
// bytes, is safe for concurrent use, and must not be copied after first use.
type Bucket struct {
	// The theoretical arrival time, in the limit's ticks modulo 2^64. Every arrival
	// time is odd, so that 0 means only that the bucket was never used.
	tat atomic.Int64
}

// setBack is how far a reading may lie behind others, because a goroutine was
// held up between reading the clock and deciding, before the clock counts as set
// back.
const setBack = 10 * time.Second

// Allow takes n permits at the time now, or none. It takes nothing and is OK for
// n of 0 or less: so the state can be read. All calls on a Bucket must have the
// same Limit, or one made for the same permits and period.
func (b *Bucket) Allow(l *Limit, now time.Duration, n int) Decision {
	ticks := l.ticks(now)
	for {
		tat := b.tat.Load()
		used := used(tat, ticks)
		if used-l.capacity > l.setBack {
			b.tat.CompareAndSwap(tat, ticks+l.capacity)
			continue
		}
		if !l.fits(used, n) {
			return l.reject(used, n)
		}
		after := used + int64(max(n, 0))*l.interval
		if n <= 0 || b.tat.CompareAndSwap(tat, ticks+after) {
			return l.admit(after)
		}
	}
}

// used returns for how many ticks' worth of permits the bucket is not full.
func used(tat, ticks int64) int64 {
	if tat == 0 {
		return 0
	}
	return max(tat-ticks, 0)
}
