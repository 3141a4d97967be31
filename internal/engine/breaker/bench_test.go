package breaker_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

// BenchmarkClosed measures Allow and Done of a call that succeeds. It compares them with a
// counter of failures with a mutex.
func BenchmarkClosed(b *testing.B) {
	br := breaker.New(config)
	b.Run("breaker", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			succeed(b, br)
		}
	})
	var plain mutexBreaker
	b.Run("mutex", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if plain.allow() {
				plain.done(true)
			}
		}
	})
}

// BenchmarkClosedParallel is BenchmarkClosed on all cores concurrently.
func BenchmarkClosedParallel(b *testing.B) {
	br := breaker.New(config)
	b.Run("breaker", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				succeed(b, br)
			}
		})
	})
	var plain mutexBreaker
	b.Run("mutex", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if plain.allow() {
					plain.done(true)
				}
			}
		})
	})
}

// BenchmarkFailing alternates failures and successes, which take the lock.
func BenchmarkFailing(b *testing.B) {
	br := breaker.New(config)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p, err := br.Allow(0)
		if err != nil {
			b.Fatal(err)
		}
		p.Done(0, outcomes[i%2])
	}
}

func BenchmarkOpen(b *testing.B) {
	br := breaker.New(config)
	for range config.FailureThreshold {
		p, err := br.Allow(0)
		if err != nil {
			b.Fatal(err)
		}
		p.Done(0, breaker.Failure)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := br.Allow(1); !errors.Is(err, breaker.ErrOpen) {
			b.Fatal(err)
		}
	}
}

var config = breaker.Config{FailureThreshold: 5, OpenFor: time.Minute, HalfOpenMaxCalls: 3}

func succeed(b *testing.B, br *breaker.Breaker) {
	p, err := br.Allow(0)
	if err != nil {
		b.Error(err)
	}
	p.Done(0, breaker.Success)
}

type mutexBreaker struct {
	mu       sync.Mutex
	failures int
}

func (m *mutexBreaker) allow() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failures < 5
}

func (m *mutexBreaker) done(ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures++
	if ok {
		m.failures = 0
	}
}
