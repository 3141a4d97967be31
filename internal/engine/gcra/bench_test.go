package gcra_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
)

// limiters compares Bucket with a plain implementation: a floating-point count of tokens
// under a mutex.
func limiters(tb testing.TB) []limiter {
	tb.Helper()
	limit, err := gcra.New(1000, time.Second, 10)
	if err != nil {
		tb.Fatal(err)
	}
	var bucket gcra.Bucket
	locked := mutexTokens{rate: 1e-6, burst: 10}
	return []limiter{
		{"bucket", func(now time.Duration) bool { return bucket.Allow(limit, now, 1).OK }},
		{"tokens-mutex", locked.allow},
	}
}

type limiter struct {
	name  string
	allow func(now time.Duration) bool
}

func BenchmarkAllow(b *testing.B) {
	for _, c := range []struct {
		name string
		step time.Duration
	}{
		{"admitted", 2 * time.Millisecond},
		{"rejected", 1},
	} {
		for _, l := range limiters(b) {
			b.Run(c.name+"/"+l.name, func(b *testing.B) {
				b.ReportAllocs()
				var now time.Duration
				for b.Loop() {
					now += c.step
					l.allow(now)
				}
			})
		}
	}
}

// BenchmarkAllowFraction has an interval that is not a whole number of nanoseconds.
func BenchmarkAllowFraction(b *testing.B) {
	limit, err := gcra.New(999, time.Second, 10)
	if err != nil {
		b.Fatal(err)
	}
	var bucket gcra.Bucket
	var now time.Duration
	b.ReportAllocs()
	for b.Loop() {
		now += 2 * time.Millisecond
		bucket.Allow(limit, now, 1)
	}
}

// BenchmarkAllowParallel uses one key from all cores concurrently.
func BenchmarkAllowParallel(b *testing.B) {
	for _, l := range limiters(b) {
		b.Run(l.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				var now time.Duration
				for pb.Next() {
					now += 2 * time.Millisecond
					l.allow(now)
				}
			})
		})
	}
}

type mutexTokens struct {
	mu          sync.Mutex
	level       float64
	last        time.Duration
	rate, burst float64 // permits a nanosecond; permits
}

func (m *mutexTokens) allow(now time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.level = min(m.burst, m.level+float64(now-m.last)*m.rate)
	m.last = now
	if m.level < 1 {
		return false
	}
	m.level--
	return true
}
