package gcra

import (
	"math"
	"sync/atomic"
	"time"
)

// Never is the RetryAfter of a request that can never be admitted, since it is for more
// permits than the burst.
const Never time.Duration = math.MaxInt64

// Decision is the answer to one request for permits.
type Decision struct {
	// OK reports whether the permits were taken. A rejected request takes none.
	OK bool
	// RetryAfter is the shortest time after which the same request can be admitted, if no
	// other request takes permits meanwhile. It is 0 if OK is true, otherwise positive, and
	// [Never] if the request can never be admitted.
	RetryAfter time.Duration
	// Remaining is the number of permits that can still be taken now.
	Remaining int
	// ResetAfter is the time until the bucket is full, if no request takes permits.
	ResetAfter time.Duration
}

// Bucket is the state of one key. The zero value is a full bucket. A Bucket has 8 bytes. It is
// safe for concurrent use and must not be copied after first use.
type Bucket struct {
	// The theoretical arrival time, in the limit's ticks modulo 2^64. Every arrival time is
	// odd, so 0 means that the bucket was never used.
	tat atomic.Int64
}

// setBack is how much earlier than others a reading may be before the clock counts as set
// back. A reading is earlier if its goroutine was delayed between reading the clock and
// deciding.
const setBack = 10 * time.Second

// Allow takes n permits at the time now, or none. If n is 0 or negative, it takes none and OK
// is true, unless the bucket is in debt. All calls on a Bucket must use the same Limit,
// or one with the same permits and period.
func (b *Bucket) Allow(l *Limit, now time.Duration, n int) Decision {
	ticks := l.ticks(now)
	for {
		tat, used := b.load(l, ticks)
		if !l.fits(used, n) {
			return l.reject(used, n)
		}
		after := used + int64(max(n, 0))*l.interval
		if n <= 0 || b.tat.CompareAndSwap(tat, ticks+after) {
			return l.admit(after)
		}
	}
}

// Check returns the decision that Allow would return, and takes no permits.
func (b *Bucket) Check(l *Limit, now time.Duration, n int) Decision {
	_, used := b.load(l, l.ticks(now))
	if !l.fits(used, n) {
		return l.reject(used, n)
	}
	return l.admit(used + int64(max(n, 0))*l.interval)
}

// Charge takes n permits even if there are none: the bucket is in debt then, and admits nothing
// until the debt has returned. A debt is at most one burst. Negative permits are given back; the
// bucket is not more than full. The Limit must be one that has a debt ([Limit.WithDebt]).
func (b *Bucket) Charge(l *Limit, now time.Duration, n int) Decision {
	ticks := l.ticks(now)
	for {
		tat, used := b.load(l, ticks)
		after := l.charged(used, int64(n))
		if b.tat.CompareAndSwap(tat, ticks+after) {
			return l.admit(after)
		}
	}
}

// load returns the arrival time and the time until the bucket is full, in ticks. If the clock was
// set back, the bucket is empty.
func (b *Bucket) load(l *Limit, ticks int64) (tat, used int64) {
	for {
		if tat = b.tat.Load(); tat == 0 {
			return 0, 0
		}
		if used = max(tat-ticks, 0); used-l.capacity-l.debt <= l.setBack {
			return tat, used
		}
		b.tat.CompareAndSwap(tat, ticks+l.capacity)
	}
}
