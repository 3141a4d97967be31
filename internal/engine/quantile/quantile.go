package quantile

import (
	"sync/atomic"
	"time"
)

const (
	sumHalf    = 1 << 63
	sumLowMask = sumHalf - 1
)

// Histogram counts durations in 816 buckets. The package comment states their errors. The zero
// value is ready for use. A Histogram has 6544 bytes and contains no pointers. It must not be
// copied after first use; call [Histogram.Snapshot] instead.
type Histogram struct {
	counts [buckets]atomic.Uint64

	// sum is in ns, modulo 2^64, and sumHalves counts the carries out of its lower
	// 63 bits. The highest bit of sum repeats the lowest bit of sumHalves, so that a reader
	// can recognise a carry that is not complete. A sum of one word would wrap within days:
	// 100,000 calls of one second per second are 2^64 ns in 51 hours.
	sum       atomic.Uint64
	sumHalves atomic.Uint64
}

// Record counts d.
func (h *Histogram) Record(d time.Duration) {
	ns := uint64(max(d, 0))
	h.counts[index(ns)].Add(1)
	if sum := h.sum.Add(ns); sum^(sum-ns) >= sumHalf {
		h.sumHalves.Add(1)
	}
}

// Merge adds the content of other to h, as if each of its durations had been recorded in h. A
// concurrent Snapshot of h may contain a part of other.
func (h *Histogram) Merge(other *Histogram) {
	s := other.Snapshot()
	for i, n := range &s.counts {
		if n > 0 {
			h.counts[i].Add(n)
		}
	}
	h.addSum(s.sumHalves, s.sum)
}

// Snapshot returns a copy of h. The copy contains each Record that has returned. It may
// contain a concurrent Record, or contain it in the count but not in the sum.
func (h *Histogram) Snapshot() Snapshot {
	var s Snapshot
	for i := range &s.counts {
		s.counts[i] = h.counts[i].Load()
		s.count += s.counts[i]
	}
	s.sumHalves = h.sumHalves.Load() // before sum, so that it may lag but never lead
	s.sum = h.sum.Load()
	s.sumHalves += (s.sumHalves ^ s.sum>>63) & 1
	return s
}

// Quantile returns [Snapshot.Quantile] of a new Snapshot.
func (h *Histogram) Quantile(q float64) time.Duration {
	s := h.Snapshot()
	return s.Quantile(q)
}

// Count returns [Snapshot.Count] of a new Snapshot.
func (h *Histogram) Count() uint64 {
	s := h.Snapshot()
	return s.Count()
}

// Sum returns [Snapshot.Sum] of a new Snapshot.
func (h *Histogram) Sum() time.Duration {
	s := h.Snapshot()
	return s.Sum()
}

// Mean returns [Snapshot.Mean] of a new Snapshot.
func (h *Histogram) Mean() time.Duration {
	s := h.Snapshot()
	return s.Mean()
}

// addSum adds halves·2^63 plus the lower 63 bits of ns; the highest bit of ns
// must be the lowest of halves.
func (h *Histogram) addSum(halves, ns uint64) {
	before := h.sum.Add(ns) - ns
	h.sumHalves.Add(halves + (before&sumLowMask+ns&sumLowMask)>>63)
}
