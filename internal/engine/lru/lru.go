// Package lru is a store of values with sizes that removes the least recently used ones if there are
// too many, or if they are too large together.
package lru

import "sync"

// Config bounds a [Store]. Both bounds are at least 1.
type Config struct {
	MaxEntries int
	MaxBytes   int64
}

// Store is a bounded store. Create it with [New]. Safe for concurrent use.
type Store[K comparable, V any] struct {
	config Config

	mu      sync.Mutex
	entries map[K]*entry[K, V]
	ends    entry[K, V] // of the list: ends.newer is the least recently used
	bytes   int64
	evicted uint64
}

type entry[K comparable, V any] struct {
	key          K
	value        V
	size         int64
	older, newer *entry[K, V]
}

// Stats are the numbers of a [Store].
type Stats struct {
	Entries int
	Bytes   int64
	Evicted uint64 // removed to make room
}

// New returns an empty store.
func New[K comparable, V any](config Config) *Store[K, V] {
	s := &Store[K, V]{config: config, entries: make(map[K]*entry[K, V])}
	s.ends.older, s.ends.newer = &s.ends, &s.ends
	return s
}

// Get returns the value of a key, which is then the most recently used one.
func (s *Store[K, V]) Get(key K) (value V, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		return value, false
	}
	e.unlink()
	s.append(e)
	return e.value, true
}

// Put stores a value and removes others to make room. It reports whether there is room at all; if not,
// the earlier value of the key is removed too.
func (s *Store[K, V]) Put(key K, value V, size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(s.entries[key])
	if size > s.config.MaxBytes {
		return false
	}
	for len(s.entries) >= s.config.MaxEntries || s.bytes+size > s.config.MaxBytes {
		s.remove(s.ends.newer)
		s.evicted++
	}
	e := &entry[K, V]{key: key, value: value, size: size}
	s.entries[key] = e
	s.bytes += size
	s.append(e)
	return true
}

// Remove removes a key if its value satisfies a condition.
func (s *Store[K, V]) Remove(key K, is func(value V) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil && is(e.value) {
		s.remove(e)
	}
}

// RemoveAll removes the values that satisfy a condition and returns how many. It looks at all values.
func (s *Store[K, V]) RemoveAll(is func(value V) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if is(e.value) {
			s.remove(e)
			n++
		}
	}
	return n
}

// Stats returns the numbers so far.
func (s *Store[K, V]) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Entries: len(s.entries), Bytes: s.bytes, Evicted: s.evicted}
}

// remove removes an entry, if there is one. The lock is held.
func (s *Store[K, V]) remove(e *entry[K, V]) {
	if e == nil {
		return
	}
	e.unlink()
	delete(s.entries, e.key)
	s.bytes -= e.size
}

// append makes an entry the most recently used one. The lock is held.
func (s *Store[K, V]) append(e *entry[K, V]) {
	e.older, e.newer = s.ends.older, &s.ends
	e.older.newer, s.ends.older = e, e
}

func (e *entry[K, V]) unlink() { e.older.newer, e.newer.older = e.newer, e.older }
