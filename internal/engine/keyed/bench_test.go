package keyed_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
)

// maps compares Map with plain, unbounded implementations: a map under a mutex, and sync.Map.
func maps(tb testing.TB) []mapping {
	tb.Helper()
	m := must[state](tb, keyed.Config{MaxKeys: 100_000, Idle: time.Minute}, nil)
	locked := mutexMap{states: make(map[string]*state)}
	var synced sync.Map
	return []mapping{
		{"keyed", m.Get},
		{"map-mutex", locked.get},
		{"sync-map", func(key string, _ time.Duration) *state {
			if s, ok := synced.Load(key); ok {
				return s.(*state)
			}
			s, _ := synced.LoadOrStore(key, new(state))
			return s.(*state)
		}},
	}
}

type mapping struct {
	name string
	get  func(key string, now time.Duration) *state
}

// BenchmarkGet finds existing keys. Each is used again within a millisecond, as busy keys are,
// or later.
func BenchmarkGet(b *testing.B) {
	for _, c := range []struct {
		name string
		keys int
		step time.Duration
	}{
		{"one-key", 1, time.Microsecond},
		{"1000-keys", 1000, 0},
		{"1000-keys-seldom", 1000, 10 * time.Microsecond},
		{"50000-keys-seldom", 50_000, time.Microsecond},
	} {
		keys := names(c.keys)
		for _, m := range maps(b) {
			b.Run(c.name+"/"+m.name, func(b *testing.B) {
				b.ReportAllocs()
				var now time.Duration
				for i := 0; b.Loop(); i++ {
					now += c.step
					m.get(keys[i%len(keys)], now)
				}
			})
		}
	}
}

func BenchmarkGetParallel(b *testing.B) {
	for _, m := range maps(b) {
		b.Run(m.name, func(b *testing.B) {
			keys := names(1000)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					m.get(keys[i%len(keys)], 0)
				}
			})
		})
	}
}

// BenchmarkLimit measures the complete decision of a limiter by key: the clock, the key's
// bucket, and a permit.
func BenchmarkLimit(b *testing.B) {
	limit, err := gcra.New(1_000_000_000, time.Second, 1000)
	if err != nil {
		b.Fatal(err)
	}
	m := must[gcra.Bucket](b, keyed.Config{MaxKeys: 100_000, Idle: time.Minute}, nil)
	keys := names(100)
	start := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now := time.Since(start)
		m.Get(keys[i%len(keys)], now).Allow(limit, now, 1)
	}
}

// BenchmarkGetNew adds keys that are used once to a Map that is full.
func BenchmarkGetNew(b *testing.B) {
	m := must[state](b, keyed.Config{MaxKeys: 100_000, Idle: time.Minute}, nil)
	keys := names(300_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Get(keys[i%len(keys)], time.Duration(i)*time.Microsecond)
	}
}

// BenchmarkGetLong is dominated by SHA-256.
func BenchmarkGetLong(b *testing.B) {
	m := must[state](b, keyed.Config{MaxKeys: 100}, nil)
	for _, size := range []int{128, 129, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%d-bytes", size), func(b *testing.B) {
			key := strings.Repeat("k", size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				m.Get(key, 0)
			}
		})
	}
}

type mutexMap struct {
	mu     sync.Mutex
	states map[string]*state
}

func (m *mutexMap) get(key string, _ time.Duration) *state {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.states[key]
	if s == nil {
		s = new(state)
		m.states[key] = s
	}
	return s
}
