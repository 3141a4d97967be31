package breaker_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

// BenchmarkClosed measures Allow and Done of a call that succeeds. It compares them with a
// counter of failures with a mutex, and a window with one that takes the lock for each call.
func BenchmarkClosed(b *testing.B) {
	for _, c := range closed() {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for now := time.Duration(0); b.Loop(); now += time.Microsecond {
				c.call(now)
			}
		})
	}
}

// BenchmarkClosedParallel is BenchmarkClosed on all cores concurrently.
func BenchmarkClosedParallel(b *testing.B) {
	for _, c := range closed() {
		b.Run(c.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for now := time.Duration(0); pb.Next(); now += time.Microsecond {
					c.call(now)
				}
			})
		})
	}
}

// closed returns calls of closed breakers.
func closed() []closedBreaker {
	calling := func(w breaker.Window) func(time.Duration) {
		config := config
		config.Window = w
		br := breaker.New(config)
		return func(now time.Duration) {
			if p, err := br.Allow(now); err == nil {
				p.Done(now, breaker.Success)
			}
		}
	}
	timed := breaker.Window{Time: 10 * time.Second, MinCalls: 20, FailureRatio: 0.5}
	var locked sync.Mutex
	inner := calling(timed)
	var plain mutexBreaker
	return []closedBreaker{
		{"breaker", calling(breaker.Window{})},
		{"window of time", calling(timed)},
		{"window of calls", calling(breaker.Window{Calls: 100, MinCalls: 20, FailureRatio: 0.5})},
		{"window with a lock", func(now time.Duration) {
			locked.Lock()
			defer locked.Unlock()
			inner(now)
		}},
		{"mutex", func(time.Duration) {
			if plain.allow() {
				plain.done(true)
			}
		}},
	}
}

type closedBreaker struct {
	name string
	call func(now time.Duration)
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
