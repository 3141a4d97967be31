package quantile

import (
	"math"
	"math/bits"
	"time"
)

// Snapshot is a copy of a [Histogram], for reading several consistent figures. It is a value
// of 6.5 KB: store it in a variable and pass a pointer. The zero value is the copy of an empty
// Histogram.
type Snapshot struct {
	counts    [buckets]uint64
	count     uint64
	sum       uint64 // ns, modulo 2^64
	sumHalves uint64 // sum divided by 2^63; its lowest bit is sum's highest
}

// Quantile returns the duration of rank ceil(q·Count) among those recorded,
// counted from 1 in ascending order, within the errors of the package. A q below 0 counts as 0
// (the shortest duration), a q above 1 as 1 (the longest). It returns 0 if q is NaN or no
// duration is recorded.
func (s *Snapshot) Quantile(q float64) time.Duration {
	if s.count == 0 || math.IsNaN(q) {
		return 0
	}
	rank := rankOf(q, s.count)
	for i, n := range &s.counts {
		if rank <= n {
			return value(i)
		}
		rank -= n
	}
	return Max // not reached: the counts add up to count, and rank is no more
}

// rankOf returns the rank of q, in 1..count; count must not be 0.
func rankOf(q float64, count uint64) uint64 {
	rank := math.Ceil(min(max(q, 0), 1) * float64(count))
	return min(max(uint64(rank), 1), count)
}

// Count returns the number of recorded durations.
func (s *Snapshot) Count() uint64 { return s.count }

// Sum returns the sum of the recorded durations, at most the greatest time.Duration, 292
// years. Mean does not have this limit.
func (s *Snapshot) Sum() time.Duration {
	if s.sumHalves > 0 {
		return math.MaxInt64
	}
	return time.Duration(s.sum)
}

// Mean returns the mean of the recorded durations, truncated to 1 ns, or 0 if there are none.
func (s *Snapshot) Mean() time.Duration {
	high := s.sumHalves >> 1
	switch {
	case s.count == 0:
		return 0
	case high >= s.count: // only if sum is ahead of count
		return math.MaxInt64
	}
	mean, _ := bits.Div64(high, s.sum, s.count)
	return time.Duration(min(mean, math.MaxInt64))
}
