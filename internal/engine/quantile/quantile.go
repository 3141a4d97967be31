package quantile

import (
	"sync/atomic"
	"time"
)

const (
	sumHalf    = 1 << 63
	sumLowMask = sumHalf - 1
)

// Histogram counts durations in 816 buckets; the package comment has their
// errors. The zero value is ready to use. A Histogram takes 6544 bytes, points
// at nothing, and must not be copied after first use: [Histogram.Snapshot] does.
type Histogram struct {
	counts [buckets]atomic.Uint64

	// sum is in ns, modulo 2^64, and sumHalves counts the carries out of its lower
	// 63 bits. The highest bit of sum repeats the lowest of sumHalves, so that a
	// reader can tell that a carry is still on its way. A sum of one word would wrap
	// within days: 100,000 calls of a second, each second, are 2^64 ns in 51 hours.
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

// Merge adds what other holds to h, as if each of its durations had been
// recorded in h. A Snapshot of h taken meanwhile may hold a part of it.
func (h *Histogram) Merge(other *Histogram) {
	s := other.Snapshot()
	for i, n := range &s.counts {
		if n > 0 {
			h.counts[i].Add(n)
		}
	}
	h.addSum(s.sumHalves, s.sum)
}

// Snapshot copies h. A Record that runs meanwhile is in the copy or not, and may
// be in its count but not yet in its sum; one that returned before is in both.
func (h *Histogram) Snapshot() Snapshot {
	var s Snapshot
	for i := range &s.counts {
		s.counts[i] = h.counts[i].Load()
		s.count += s.counts[i]
	}
	s.sumHalves = h.sumHalves.Load() // before sum: so it may lag, never lead
	s.sum = h.sum.Load()
	s.sumHalves += (s.sumHalves ^ s.sum>>63) & 1
	return s
}

// Quantile is [Snapshot.Quantile] of a fresh Snapshot.
func (h *Histogram) Quantile(q float64) time.Duration {
	s := h.Snapshot()
	return s.Quantile(q)
}

// Count is [Snapshot.Count] of a fresh Snapshot.
func (h *Histogram) Count() uint64 {
	s := h.Snapshot()
	return s.Count()
}

// Sum is [Snapshot.Sum] of a fresh Snapshot.
func (h *Histogram) Sum() time.Duration {
	s := h.Snapshot()
	return s.Sum()
}

// Mean is [Snapshot.Mean] of a fresh Snapshot.
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
