package inflight

import (
	"slices"
	"time"
)

// recent is the durations of the last calls.
type recent struct {
	durations [64]time.Duration
	count     int // so far
	sortedAt  int // count when sorted was made
	sorted    [64]time.Duration
}

// enough is how many durations must be known before they count.
const enough = 10

// resort is how many durations may be newer than the sorted ones.
const resort = 8

func (r *recent) add(d time.Duration) {
	r.durations[r.count%len(r.durations)] = max(d, 0)
	r.count++
}

// at returns the duration that the given number of ten recent calls did not exceed.
func (r *recent) at(tenths int) time.Duration {
	if r.count < enough {
		return 0
	}
	n := min(r.count, len(r.durations))
	if r.sortedAt == 0 || r.count-r.sortedAt >= resort {
		copy(r.sorted[:n], r.durations[:n])
		slices.Sort(r.sorted[:n])
		r.sortedAt = r.count
	}
	return r.sorted[min(r.sortedAt, len(r.durations))*tenths/10]
}

// least returns the duration that nine of ten calls exceed: a call with less time left
// cannot finish.
func (r *recent) least() time.Duration { return r.at(1) }

func (r *recent) median() time.Duration { return r.at(5) }
