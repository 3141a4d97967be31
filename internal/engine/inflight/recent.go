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

// median returns the duration that half of the recent calls did not exceed, or 0 if too few are known.
func (r *recent) median() time.Duration {
	if r.count < enough {
		return 0
	}
	n := min(r.count, len(r.durations))
	if r.sortedAt == 0 || r.count-r.sortedAt >= resort {
		copy(r.sorted[:n], r.durations[:n])
		slices.Sort(r.sorted[:n])
		r.sortedAt = r.count
	}
	return r.sorted[min(r.sortedAt, len(r.durations))/2]
}

// brief is the durations of the last calls of a tenant.
type brief struct {
	durations [16]time.Duration
	count     int // so far
}

func (b *brief) add(d time.Duration) {
	b.durations[b.count%len(b.durations)] = max(d, 0)
	b.count++
}

// least returns the duration that nine of ten calls exceed: a call with less time left cannot finish. It is 0
// if too few are known.
func (b *brief) least() time.Duration {
	if b.count < enough {
		return 0
	}
	first, second := b.durations[0], b.durations[1]
	if second < first {
		first, second = second, first
	}
	for _, d := range b.durations[2:min(b.count, len(b.durations))] {
		switch {
		case d < first:
			first, second = d, first
		case d < second:
			second = d
		}
	}
	return second
}
