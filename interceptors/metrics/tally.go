package metrics

import "sync"

// tally counts keys. The number of keys is bounded.
type tally[K comparable] struct {
	limit  int
	mu     sync.Mutex
	counts map[K]uint64
}

// add counts k, or other if k is new and the limit is reached.
func (t *tally[K]) add(k, other K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.counts[k]; !ok && len(t.counts) >= t.limit {
		k = other
	}
	if t.counts == nil {
		t.counts = make(map[K]uint64)
	}
	t.counts[k]++
}

// each calls f for each key with its count.
func (t *tally[K]) each(f func(k K, n uint64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, n := range t.counts {
		f(k, n)
	}
}
