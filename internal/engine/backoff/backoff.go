package backoff

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"time"
)

// Config configures a [Backoff]. With the zero Config all delays are 0.
type Config struct {
	// Initial is the delay after the first attempt, without jitter.
	Initial time.Duration
	// Max is the greatest delay, without jitter; 0 means the greatest Duration, 292
	// years.
	Max time.Duration
	// Multiplier is the ratio of each delay to the previous one, more than 0; 0 means 2. Delays
	// shrink if it is below 1.
	Multiplier float64
	// Jitter randomizes each delay by up to ± this fraction, from 0 to 1.
	Jitter float64
	// FullJitter multiplies each delay by a random number from 0 to 1. It excludes Jitter.
	FullJitter bool
	// Random returns numbers from 0 up to 1; nil means rand.Float64 of math/rand/v2.
	Random func() float64
}

// Backoff computes delays. Make it with [New].
type Backoff struct {
	initial, most float64 // ns
	multiplier    float64
	low, span     float64       // the factor of jitter is low + span·random
	limit         time.Duration // of a delay with jitter
	random        func() float64
}

// New returns the Backoff of c, or an error that names the value that is out of range.
func New(c Config) (*Backoff, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b := &Backoff{
		initial: float64(c.Initial), multiplier: c.Multiplier,
		low: 1 - c.Jitter, span: 2 * c.Jitter, random: c.Random,
	}
	if c.Max == 0 {
		c.Max = math.MaxInt64
	}
	b.most, b.limit = float64(c.Max), c.Max
	if c.Jitter > 0 {
		b.limit = lengthened(c.Max, c.Jitter)
	}
	if c.Multiplier == 0 {
		b.multiplier = 2
	}
	if c.FullJitter {
		b.low, b.span = 0, 1
	}
	if c.Random == nil {
		b.random = rand.Float64
	}
	return b, nil
}

func (c *Config) check() error {
	switch {
	case c.Initial < 0:
		return fmt.Errorf("backoff: initial delay of %v; want 0 or more", c.Initial)
	case c.Max < 0:
		return fmt.Errorf("backoff: greatest delay of %v; want 0 for none, or more", c.Max)
	case c.Max > 0 && c.Max < c.Initial:
		return fmt.Errorf("backoff: greatest delay of %v; want at least the initial delay, %v", c.Max, c.Initial)
	case c.Multiplier != 0 && !within(c.Multiplier, math.SmallestNonzeroFloat64, math.MaxFloat64):
		return fmt.Errorf("backoff: multiplier of %v; want a number above 0, or 0 for 2", c.Multiplier)
	case !within(c.Jitter, 0, 1):
		return fmt.Errorf("backoff: jitter of %v; want 0 to 1", c.Jitter)
	case c.FullJitter && c.Jitter != 0:
		return fmt.Errorf("backoff: jitter of %v and full jitter; want one of them", c.Jitter)
	}
	return nil
}

// lengthened returns d·(1+fraction), rounded down, or the greatest Duration. It is
// exact: a float64 has too few digits for delays of more than 2^53 ns, 104 days.
func lengthened(d time.Duration, fraction float64) time.Duration {
	factor := new(big.Float).SetPrec(exactly).SetFloat64(fraction)
	factor.Add(factor, big.NewFloat(1))
	product := factor.Mul(factor, new(big.Float).SetInt64(int64(d)))
	ns, _ := product.Int64() // at most the greatest int64
	return time.Duration(ns)
}

// exactly is the precision in bits of the sum of 1 and any float64, times any Duration.
const exactly = 1 + 1074 + 64

// within reports whether least <= x <= most. It returns false for NaN.
func within(x, least, most float64) bool { return x >= least && x <= most }

// Delay returns the delay after a number of attempts. A number below 1 counts as 1.
func (b *Backoff) Delay(attempts int) time.Duration {
	if b.initial == 0 {
		return 0 // 0 times infinity is NaN
	}
	delay := min(b.initial*math.Pow(b.multiplier, float64(max(attempts, 1)-1)), b.most)
	if b.span > 0 {
		delay *= b.low + b.span*unit(b.random())
	}
	return min(duration(delay), b.limit)
}

// duration returns ns, which must not be negative, as a Duration, at most the greatest.
func duration(ns float64) time.Duration {
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}

// unit returns the number from 0 to 1 that is nearest to x, and 0 for NaN.
func unit(x float64) float64 {
	if !(x > 0) { // true for NaN
		return 0
	}
	return min(x, 1)
}
