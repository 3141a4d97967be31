package gcra

import (
	"fmt"
	"math/bits"
	"time"
)

const (
	// maxPerNano is the finest resolution of an interval, in fractions of a
	// nanosecond. More would make the range of time, 2^63 ticks, too short.
	maxPerNano = 1 << 10

	// ticksPerFraction makes all intervals and capacities even numbers of ticks, so
	// that times, which are odd, stay odd when these are added to them.
	ticksPerFraction = 2

	// maxRate is in permits a nanosecond. Up to it, rounding an interval up costs
	// less than 1 % of the rate.
	maxRate = 10

	// maxCapacity, in fractions of a nanosecond, leaves room to add a time set back
	// without overflow.
	maxCapacity = 1 << 61
)

// Limit is a rate and a burst. It is immutable, and safe for concurrent use; the
// zero Limit admits nothing. Make it with [New].
type Limit struct {
	perNano  int64 // ticks in a nanosecond; even
	interval int64 // ticks until one permit is back; even
	capacity int64 // ticks until a whole burst is back; even
	setBack  int64 // ticks
	burst    int
}

// New returns the limit that gives back permits evenly over each period per, and
// admits at most burst of them at once. All three must be at least 1, permits at
// most one per nanosecond, and a burst must come back within 2^61 ns, 73 years
// (26 days where the interval had to be rounded, at the least).
func New(permits int, per time.Duration, burst int) (*Limit, error) {
	switch {
	case permits < 1:
		return nil, fmt.Errorf("gcra: limit of %d permits; want at least 1", permits)
	case per < 1:
		return nil, fmt.Errorf("gcra: period of %v; want more than 0", per)
	case burst < 1:
		return nil, fmt.Errorf("gcra: burst of %d permits; want at least 1", burst)
	case int64(permits-1)/maxRate >= int64(per):
		return nil, fmt.Errorf("gcra: limit of %d permits in %v; want at most %d a nanosecond", permits, per, maxRate)
	}
	perNano, interval := reduce(int64(permits), int64(per))
	if int64(burst) > maxCapacity/interval {
		return nil, fmt.Errorf("gcra: burst of %d permits at %d in %v; want one that is back within %v",
			burst, permits, per, time.Duration(maxCapacity/perNano))
	}
	perNano, interval = perNano*ticksPerFraction, interval*ticksPerFraction
	return &Limit{
		perNano:  perNano,
		interval: interval,
		capacity: interval * int64(burst),
		setBack:  int64(setBack) * perNano,
		burst:    burst,
	}, nil
}

// reduce returns the interval per/permits as a fraction in nanoseconds: its
// denominator, at most maxPerNano, and its numerator, rounded up where the
// denominator had to be cut.
func reduce(permits, per int64) (perNano, interval int64) {
	factor := gcd(permits, per)
	permits, per = permits/factor, per/factor
	if permits <= maxPerNano {
		return permits, per
	}
	high, low := bits.Mul64(uint64(per), maxPerNano)
	interval64, rest := bits.Div64(high, low, uint64(permits))
	if rest > 0 {
		interval64++
	}
	return maxPerNano, int64(interval64)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// ticks returns the time now in ticks: an odd number. It may wrap, because only
// differences between times count.
func (l *Limit) ticks(now time.Duration) int64 { return int64(now)*l.perNano + 1 }

// fits says whether n permits can be taken from a bucket that lacks used ticks.
func (l *Limit) fits(used int64, n int) bool {
	return n <= 0 || n <= l.burst && used <= l.capacity-int64(n)*l.interval
}

func (l *Limit) admit(used int64) Decision {
	return Decision{OK: true, Remaining: l.remaining(used), ResetAfter: l.duration(used)}
}

func (l *Limit) reject(used int64, n int) Decision {
	d := Decision{RetryAfter: Never, Remaining: l.remaining(used), ResetAfter: l.duration(used)}
	if n <= l.burst {
		d.RetryAfter = l.duration(used - (l.capacity - int64(n)*l.interval))
	}
	return d
}

func (l *Limit) remaining(used int64) int {
	if used >= l.capacity {
		return 0
	}
	return int((l.capacity - used) / l.interval)
}

// duration returns ticks in nanoseconds, rounded up.
func (l *Limit) duration(ticks int64) time.Duration {
	if l.perNano <= 1 {
		return time.Duration(ticks)
	}
	return time.Duration((ticks + l.perNano - 1) / l.perNano)
}
