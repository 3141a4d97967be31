package quantile

import (
	"sync/atomic"
	"time"
)

const (
	half       = 1 << 31 // low carries into high at each multiple of it
	perHigh    = 4       // carries in a word of high, a byte each
	highBits   = 8
	maxHalves  = 1<<highBits - 1
	maxCount   = maxHalves * half // where a bucket stops
	sumHalf    = 1 << 63
	sumLowMask = sumHalf - 1
)

// Histogram counts durations in 816 buckets; the package comment has their
// errors. The zero value is ready to use. A Histogram takes 4096 bytes, points
// at nothing, and must not be copied after first use: [Histogram.Snapshot] does.
type Histogram struct {
	// A bucket's count is high·2^31 plus the lower 31 bits of low. The highest
	// bit of low repeats the lowest of high, so that a reader can tell that a
	// carry is still on its way.
	low  [buckets]atomic.Uint32
	high [buckets / perHigh]atomic.Uint32

	// Written by each Record: next to high, which hardly ever is, and away from low.
	sum       atomic.Uint64 // ns, modulo 2^64
	sumHalves atomic.Uint64 // carries out of sum's lower 63 bits
}

// Record counts d.
func (h *Histogram) Record(d time.Duration) {
	ns := uint64(max(d, 0))
	i := index(ns)
	if h.low[i].Add(1)%half == 0 {
		h.carry(i, 1)
	}
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
			h.add(i, n)
		}
	}
	h.addSum(s.sumHalves, s.sum)
}

// Snapshot copies h. A Record that runs meanwhile is in the copy or not, and may
// be in its count but not yet in its sum; one that returned before is in both.
func (h *Histogram) Snapshot() Snapshot {
	var s Snapshot
	for i := range &s.counts {
		s.counts[i] = h.load(i)
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

// load returns the count of bucket i, at most maxCount. It is exact unless a
// goroutine rests between low and carry while 2^31 more arrive in the bucket.
func (h *Histogram) load(i int) uint64 {
	word := h.high[i/perHigh].Load() // before low: so it may lag, never lead
	low := uint64(h.low[i].Load())
	halves := uint64(word>>highShift(i)) & maxHalves
	halves += (halves ^ low>>31) & 1
	if halves >= maxHalves {
		return maxCount
	}
	return halves*half + low%half
}

// add adds n, at most maxCount, to bucket i.
func (h *Histogram) add(i int, n uint64) {
	before := uint64(h.low[i].Add(uint32(n)) - uint32(n))
	if halves := (before%half + n) / half; halves > 0 {
		h.carry(i, halves)
	}
}

// carry adds n to the high byte of bucket i, which stops at maxHalves.
func (h *Histogram) carry(i int, n uint64) {
	word, shift := &h.high[i/perHigh], highShift(i)
	for {
		old := word.Load()
		now := uint64(old>>shift) & maxHalves
		step := min(n, maxHalves-now)
		if word.CompareAndSwap(old, old+uint32(step)<<shift) {
			return
		}
	}
}

// addSum adds halves·2^63 plus the lower 63 bits of ns; the highest bit of ns
// must be the lowest of halves.
func (h *Histogram) addSum(halves, ns uint64) {
	before := h.sum.Add(ns) - ns
	h.sumHalves.Add(halves + (before&sumLowMask+ns&sumLowMask)>>63)
}

// highShift returns where the byte of bucket i lies in its word of high.
func highShift(i int) int { return i % perHigh * highBits }
