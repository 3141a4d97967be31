package keyed

import "iter"

// Len returns the number of keys, including idle ones whose memory is not freed yet.
func (m *Map[S]) Len() int {
	n := 0
	for i := range m.shards {
		n += m.shards[i].len()
	}
	return n
}

// Evicted returns the number of keys that were evicted because the Map was full. While it
// grows, MaxKeys is too small for the keys in use, or a caller invents keys.
func (m *Map[S]) Evicted() uint64 { return m.evicted.Load() }

// All yields the keys and their states, in no particular order. A key of more than 128 bytes
// is "sha256:" and its digest in hexadecimal. A key that is added or removed during the
// iteration may be missing. The iteration does not count as a use of the keys. The loop may
// use the Map.
func (m *Map[S]) All() iter.Seq2[string, *S] {
	return func(yield func(string, *S) bool) {
		for i := range m.shards {
			for _, e := range m.shards[i].entries() {
				if !yield(e.name(), &e.state) {
					return
				}
			}
		}
	}
}

func (s *shard[S]) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

// entries returns all entries, the least recently used first.
func (s *shard[S]) entries() []*entry[S] {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*entry[S], 0, s.keys)
	for e := s.ends.newer; e != &s.ends; e = e.newer {
		all = append(all, e)
	}
	return all
}
