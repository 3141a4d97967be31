package gcra

import (
	"fmt"
	"math/bits"
	"time"
)

const (
	// maxPerNano is the finest resolution of an interval, in fractions of a nanosecond. A
	// finer one would make the range of time, 2^63 ticks, too short.
	maxPerNano = 1 << 10

	// ticksPerFraction makes all intervals and capacities even numbers of ticks. Times are
	// odd, and adding an even number keeps them odd.
	ticksPerFraction = 2

	// maxRate is in permits a nanosecond. Up to it, rounding an interval up costs
	// less than 1 % of the rate.
	maxRate = 10

	// maxDebt is in ticks. With the greatest capacity and setBack it does not overflow.
	maxDebt = 1 << 60

	// maxCapacity, in fractions of a nanosecond, is small enough that adding setBack does
	// not overflow.
	maxCapacity = 1 << 61
)

// Limit is a rate and a burst. It is immutable and safe for concurrent use. The zero Limit
// admits nothing. Create a Limit with [New].
type Limit struct {
	perNano  int64 // ticks in a nanosecond; even
	interval int64 // ticks until one permit returns; even
	capacity int64 // ticks until a whole burst returns; even
	debt     int64 // ticks by which more than a burst may be taken
	setBack  int64 // ticks
	burst    int
}

// New returns a limit whose permits return evenly over each period per and which admits at
// most burst permits at once. All three must be at least 1. New returns an error if there are
// more than 10 permits per nanosecond, or if a burst does not return within 2^61 ns, 73 years
// (less if the interval is rounded, but at least 26 days).
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

// reduce returns the interval per/permits as a fraction in nanoseconds: its denominator, at
// most maxPerNano, and its numerator, which is rounded up if the denominator was reduced to
// maxPerNano.
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

// ticks returns the time now in ticks, an odd number. It may wrap, since only differences
// between times are used.
func (l *Limit) ticks(now time.Duration) int64 { return int64(now)*l.perNano + 1 }

// WithDebt returns a limit with the same permits for which [Bucket.Charge] can take up to one
// burst more than there are. After the clock was set back, a key may wait for a burst longer.
func (l *Limit) WithDebt() *Limit {
	indebted := *l
	indebted.debt = min(l.capacity, maxDebt/l.interval*l.interval)
	return &indebted
}

// fits reports whether n permits can be taken from a bucket that is full after used ticks.
func (l *Limit) fits(used int64, n int) bool {
	n = max(n, 0)
	return n <= l.burst && used <= l.capacity-int64(n)*l.interval
}

// charged returns used after n permits more, or fewer: from 0 to a whole burst and the debt. The product is
// made only if it is within them: it may overflow otherwise.
func (l *Limit) charged(used, n int64) int64 {
	most := l.capacity + l.debt
	switch {
	case n > 0 && n > (most-used)/l.interval:
		return most
	case n < 0 && n < -used/l.interval:
		return 0
	default:
		return min(used+n*l.interval, most)
	}
}

func (l *Limit) admit(used int64) Decision {
	return Decision{OK: true, Remaining: l.remaining(used), ResetAfter: l.duration(used)}
}

func (l *Limit) reject(used int64, n int) Decision {
	d := Decision{RetryAfter: Never, Remaining: l.remaining(used), ResetAfter: l.duration(used)}
	if n <= l.burst {
		d.RetryAfter = l.duration(used - (l.capacity - int64(max(n, 0))*l.interval))
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
