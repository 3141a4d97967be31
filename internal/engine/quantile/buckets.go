package quantile

import (
	"math"
	"math/bits"
	"time"
)

const (
	// RelativeError bounds the error of a quantile from 1 µs up to [Max], as a fraction of
	// the exact value. It is the sum of halfWidth and the rounding to 1 ns, which matters
	// only near 1 µs.
	RelativeError = 0.0131

	// Max is the greatest quantile: 2^40 ns, 18 min 19.5 s.
	Max time.Duration = 1 << maxExponent
)

const (
	minExponent = 10 // 1.024 µs, the first whole octave
	maxExponent = 40
	perOctave   = 27
	halfWidth   = 0.012835354 // (γ-1)/(γ+1) for γ = 2^(1/perOctave)

	// The first logarithmic bucket is the last one of the octave that ends at
	// 2^minExponent. Below it are four buckets of 256 ns. Above the logarithmic buckets is
	// one bucket for all greater durations.
	linear      = 4
	linearShift = 8
	linearEnd   = 999 // ns: the least integer not below 2^(10-1/27)
	firstOctave = linear + 1
	overflow    = firstOctave + perOctave*(maxExponent-minExponent)
	buckets     = overflow + 1

	cellBits     = 6
	cellFracBits = 32 - cellBits
)

// index returns the bucket of ns, in 0..buckets-1; it never decreases with ns.
func index(ns uint64) int {
	if ns < linearEnd {
		return int(ns >> linearShift)
	}
	if ns >= uint64(Max) {
		return overflow
	}
	exponent := bits.Len64(ns) - 1
	mantissa := uint32(ns << (64 - exponent) >> 32) // without its leading one
	return firstOctave + (exponent-minExponent)*perOctave + part(mantissa)
}

// part returns floor(27·log2(1+mantissa/2^32)), exactly.
func part(mantissa uint32) int {
	frac := mantissa & (1<<cellFracBits - 1)
	return int((cells[mantissa>>cellFracBits] + frac) >> cellFracBits)
}

// value returns the duration that represents bucket i. Its relative distance to the lower
// edge of the bucket is the same as to the upper edge.
func value(i int) time.Duration {
	switch {
	case i < linear:
		return time.Duration(i<<linearShift + 1<<(linearShift-1))
	case i == overflow:
		return Max
	}
	edge := math.Exp2(minExponent + float64(i-firstOctave)/perOctave)
	return time.Duration(math.Round(edge * (1 + halfWidth)))
}
