package window

import (
	"fmt"
	"math"
	"time"
)

// Never is the RetryAfter of a request that can never be admitted, since it is for more
// permits than the limit.
const Never time.Duration = math.MaxInt64

// setBack is how much earlier than others a reading may be before the clock counts as set
// back. A reading is earlier if its goroutine was delayed between reading the clock and
// deciding.
const setBack = 10 * time.Second

// maxPeriod is short enough that adding a period to a time does not overflow.
const maxPeriod time.Duration = 1 << 61

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
	// ResetAfter is the time until the whole limit is available, if no request takes permits:
	// until the fixed window ends, or until the last permit has returned.
	ResetAfter time.Duration
}

// Limit is a number of permits in a period. It is immutable and safe for concurrent use. The
// zero Limit admits nothing. Create a Limit with [New].
type Limit struct {
	permits int
	period  time.Duration
	grain   time.Duration // a Log has one entry for each
}

// New returns a limit of permits in each period. permits must be at least 1. period must be
// positive and at most 2^61 ns, 73 years.
func New(permits int, period time.Duration) (*Limit, error) {
	switch {
	case permits < 1:
		return nil, fmt.Errorf("window: limit of %d permits; want at least 1", permits)
	case period < 1:
		return nil, fmt.Errorf("window: period of %v; want more than 0", period)
	case period > maxPeriod:
		return nil, fmt.Errorf("window: period of %v; want at most %v", period, maxPeriod)
	}
	l := &Limit{permits: permits, period: period, grain: 1}
	if permits > maxEntries {
		l.grain = (period + maxEntries - 2) / (maxEntries - 1)
	}
	return l, nil
}
