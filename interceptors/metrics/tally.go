package metrics

import "sync"

// tally counts things of which there is a bounded number.
type tally[K comparable] struct {
	limit  int
	mu     sync.Mutex
	counts map[K]uint64
}

// add counts one k, or one other if there is no room for k.
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

// each calls f for each thing and its count.
func (t *tally[K]) each(f func(k K, n uint64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, n := range t.counts {
		f(k, n)
	}
}
