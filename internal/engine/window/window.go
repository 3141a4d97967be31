package window

import (
	"fmt"
	"math"
	"time"
)

// Never is the RetryAfter of a request that no wait would help: it asks for more
// permits than the limit.
const Never time.Duration = math.MaxInt64

// setBack is how far a reading may lie behind another, because a goroutine was
// held up between reading the clock and deciding, before the clock counts as set
// back.
const setBack = 10 * time.Second

// maxPeriod leaves room to add a period to a time without overflow.
const maxPeriod time.Duration = 1 << 61

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
	// ResetAfter is the time until the whole limit is there again, if no one takes
	// permits: the end of the fixed window, or of the last permit's time.
	ResetAfter time.Duration
}

// Limit is a number of permits in a period. It is immutable, and safe for
// concurrent use; the zero Limit admits nothing. Make it with [New].
type Limit struct {
	permits int
	period  time.Duration
	grain   time.Duration // a Log has one entry for each
}

// New returns the limit of permits in each period. Permits must be at least 1,
// the period positive and at most 2^61 ns, 73 years.
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
