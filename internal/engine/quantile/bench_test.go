package quantile_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// recorders compares Histogram with the minimum cost of counting and summing, two atomic
// additions, and with a plain implementation of the same buckets, a logarithm under a mutex.
func recorders() []recorder {
	var h quantile.Histogram
	var count, sum atomic.Uint64
	var locked logarithm
	return []recorder{
		{"histogram", h.Record},
		{"two-atomics", func(d time.Duration) { count.Add(1); sum.Add(uint64(d)) }},
		{"log-mutex", locked.record},
	}
}

type recorder struct {
	name   string
	record func(time.Duration)
}

func BenchmarkRecord(b *testing.B) {
	samples := logNormal(testseed.Rand(b, 0), 1<<12, 5*time.Millisecond, 1)
	for _, r := range recorders() {
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.record(samples[i%len(samples)])
			}
		})
	}
}

// BenchmarkRecordParallel only records, from all cores. This is the worst case, bound by the
// cache line of the sum. A mutex can be faster than the atomics here, since its holder
// continues while the others wait.
func BenchmarkRecordParallel(b *testing.B) {
	samples := logNormal(testseed.Rand(b, 0), 1<<12, 5*time.Millisecond, 1)
	for _, r := range recorders() {
		b.Run(r.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					r.record(samples[i%len(samples)])
				}
			})
		})
	}
}

// BenchmarkRecordSpaced records once per about 1 µs of other work on each core, which is still
// far more often than calls end. "nothing" is that work without recording.
func BenchmarkRecordSpaced(b *testing.B) {
	samples := logNormal(testseed.Rand(b, 0), 1<<12, 5*time.Millisecond, 1)
	nothing := recorder{"nothing", func(time.Duration) {}}
	for _, r := range append([]recorder{nothing}, recorders()...) {
		b.Run(r.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					r.record(samples[(i+work(1000))%len(samples)])
				}
			})
		})
	}
}

//go:noinline
func work(n int) (x int) {
	for i := range n {
		x = (x*31 + i) & math.MaxInt32
	}
	return x & 1
}

// BenchmarkSnapshot measures reading mean, p50, p95 and p99 of one method.
func BenchmarkSnapshot(b *testing.B) {
	var h quantile.Histogram
	for _, d := range logNormal(testseed.Rand(b, 0), 1<<16, 5*time.Millisecond, 1) {
		h.Record(d)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := h.Snapshot()
		s.Mean()
		s.Quantile(0.5)
		s.Quantile(0.95)
		s.Quantile(0.99)
	}
}

type logarithm struct {
	mu      sync.Mutex
	sum     time.Duration
	buckets [1200]uint64
}

func (l *logarithm) record(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum += d
	l.buckets[int(27*math.Log2(float64(d)))]++
}
