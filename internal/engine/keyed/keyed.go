package keyed

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	perShard  = 4096 // least keys of a shard if there are several
	maxShards = 64

	// One in sweepEvery calls that take a lock removes up to sweepKeys idle keys of another
	// shard, in turn. These are more than the calls add.
	sweepEvery = 8
	sweepKeys  = 32

	// resolution is the precision of the order of use. Calls for a key that are closer
	// together take no lock.
	resolution = time.Millisecond

	// roomyResolution is the precision in a shard for at least roomyKeys keys of which at most half are
	// taken, if it records more than one use in a millisecond. Such a shard evicts nothing before as many
	// keys are added as it has, and by then the order is precise again for keys in use. Recording a use
	// costs a lock and two more cache misses, which is most of the time for keys that are not in the
	// cache: see BenchmarkGet. One use in a millisecond is recorded, so that idle keys are removed.
	roomyResolution = 500 * time.Millisecond
	roomyKeys       = 1024
)

// Config bounds a [Map].
type Config struct {
	// MaxKeys is the greatest number of keys, at least 1.
	MaxKeys int
	// Idle is the time after which an unused key is removed. 0 means that a key is removed
	// only by eviction.
	Idle time.Duration
}

// Map stores a state of type S for each key. Create it with [New].
type Map[S any] struct {
	setup   func(key string, state *S)
	seed    maphash.Seed
	shards  []shard[S] // a power of two
	shift   int        // of a hash, to the number of its shard
	idle    time.Duration
	evicted atomic.Uint64
}

// New returns an empty Map. If setup is not nil, it initializes the zero state of each new key
// before other goroutines can get it. setup must not use the Map.
func New[S any](c Config, setup func(key string, state *S)) (*Map[S], error) {
	switch {
	case c.MaxKeys < 1:
		return nil, fmt.Errorf("keyed: at most %d keys; want at least 1", c.MaxKeys)
	case c.Idle < 0:
		return nil, fmt.Errorf("keyed: keys idle after %v; want 0 for never, or more", c.Idle)
	}
	m := &Map[S]{setup: setup, seed: maphash.MakeSeed(), idle: c.Idle}
	n := shards(c.MaxKeys)
	m.shift = 64 - bits.TrailingZeros(uint(n))
	m.shards = make([]shard[S], n)
	for i := range m.shards {
		m.shards[i].init((c.MaxKeys+i)/n, c.Idle) // the parts add up to MaxKeys
	}
	return m, nil
}

// shards returns how many shards hold the keys: a power of two.
func shards(keys int) int {
	n := 1
	for n < maxShards && keys/(2*n) >= perShard {
		n *= 2
	}
	return n
}

// Get returns the state of key at the time now. It creates a state if the Map does not contain
// the key.
func (m *Map[S]) Get(key string, now time.Duration) *S {
	id := identity{text: key}
	if len(key) > maxText {
		sum := digest(key)
		id.text, id.digest = string(sum[:]), true // does not escape
	}
	id.hash = maphash.String(m.seed, id.text)
	s := &m.shards[id.hash>>m.shift]
	if e := s.find(id); e != nil && s.isFresh(e, now) {
		return &e.state
	}
	return m.touch(s, id, now)
}

// GetBytes is Get for a key that the caller may change afterwards.
func (m *Map[S]) GetBytes(key []byte, now time.Duration) *S {
	return m.Get(unsafe.String(unsafe.SliceData(key), len(key)), now) // newEntry copies it
}

// touch is Get for a key that is new or was not used recently.
func (m *Map[S]) touch(s *shard[S], id identity, now time.Duration) *S {
	state, turn := m.obtain(s, id, now)
	if m.idle > 0 && turn%sweepEvery == 0 {
		m.sweep(&m.shards[turn/sweepEvery%len(m.shards)], now)
	}
	return state
}

// obtain returns the state of id, and how often obtain was called for s.
func (m *Map[S]) obtain(s *shard[S], id identity, now time.Duration) (*S, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns++
	s.turned.Store(int64(now))
	e := s.find(id)
	switch {
	case e == nil:
	case m.expired(e, now):
		s.remove(e)
	default:
		s.renew(e, now)
		return &e.state, s.turns
	}
	e = newEntry[S](id, now)
	if m.setup != nil {
		m.setup(e.name(), &e.state)
	}
	if s.add(e) {
		m.evicted.Add(1)
	}
	return &e.state, s.turns
}

// sweep removes idle keys of a shard, unless another goroutine holds its lock.
func (m *Map[S]) sweep(s *shard[S], now time.Duration) {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	for range sweepKeys {
		e := s.oldest()
		if e == nil || !m.expired(e, now) {
			return
		}
		s.remove(e)
	}
}

func (m *Map[S]) expired(e *entry[S], now time.Duration) bool {
	return m.idle > 0 && now-e.lastUse() > m.idle
}
