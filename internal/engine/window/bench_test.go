package window_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/window"
)

// limiters compares Log and Counter with a plain implementation of a sliding window: a slice
// of times, searched and cut under a mutex.
func limiters() []limiter {
	return []limiter{
		{"log", new(window.Log).Allow},
		{"counter", new(window.Counter).Allow},
		{"slice", new(slice).allow},
	}
}

type limiter struct {
	name  string
	allow func(l *window.Limit, now time.Duration, n int) window.Decision
}

func BenchmarkAllow(b *testing.B) {
	limit := must(b, permits, time.Second)
	for _, c := range []struct {
		name string
		step time.Duration
	}{
		{"admitted", 20 * time.Millisecond},
		{"mixed", time.Millisecond},
		{"rejected", 1},
	} {
		for _, l := range limiters() {
			b.Run(c.name+"/"+l.name, func(b *testing.B) {
				b.ReportAllocs()
				var now time.Duration
				for b.Loop() {
					now += c.step
					l.allow(limit, now, 1)
				}
			})
		}
	}
}

// BenchmarkAllowGreat has so great a limit that times share entries.
func BenchmarkAllowGreat(b *testing.B) {
	limit := must(b, 1_000_000, time.Second)
	for _, l := range limiters()[:2] {
		b.Run(l.name, func(b *testing.B) {
			b.ReportAllocs()
			var now time.Duration
			for b.Loop() {
				now += time.Microsecond
				l.allow(limit, now, 1)
			}
		})
	}
}

const permits = 100

type slice struct {
	mu    sync.Mutex
	times []time.Duration
}

func (s *slice) allow(_ *window.Limit, now time.Duration, _ int) window.Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearch(s.times, now-time.Second+1)
	s.times = s.times[i:]
	if len(s.times) >= permits {
		return window.Decision{}
	}
	s.times = append(s.times, now)
	return window.Decision{OK: true}
}
