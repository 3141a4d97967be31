package fault

import (
	"math/rand/v2"
	"time"
)

// lots are the random numbers of one call, or of the messages of one direction of it. Those of a
// seed, a rule, the number of a call and a stream are always the same.
type lots struct{ rand.PCG }

// The streams of random numbers of a call.
const (
	ofCall = iota
	ofRequests
	ofResponses
	streams
)

// draw returns the lots of the n-th call that a rule matches, for one stream.
func draw(seed uint64, rule int, n, stream uint64) lots {
	var l lots
	l.Seed(mix(seed+mix(uint64(rule))), mix(n*streams+stream))
	return l
}

// mix spreads the bits of x: the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable
// Pseudorandom Number Generators", OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fraction returns the next number from 0 up to 1.
func (l *lots) fraction() float64 { return float64(l.Uint64()>>11) / (1 << 53) }

// percent returns true in p of a hundred cases.
func (l *lots) percent(p float64) bool { return 100*l.fraction() < p }

// between returns the next duration from least to most.
func (l *lots) between(least, most time.Duration) time.Duration {
	return least + time.Duration(l.fraction()*float64(max(most-least, 0)))
}
