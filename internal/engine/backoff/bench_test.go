package backoff_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
)

// BenchmarkDelay compares Delay with a power and a random number alone.
func BenchmarkDelay(b *testing.B) {
	delays := must(b, backoff.Config{Initial: 100 * time.Millisecond, Max: time.Minute, Multiplier: 1.6, Jitter: 0.2})
	b.Run("backoff", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			delays.Delay(i % 10)
		}
	})
	b.Run("pow-and-random", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			sink = math.Pow(1.6, float64(i%10)) * rand.Float64()
		}
	})
}

var sink float64
