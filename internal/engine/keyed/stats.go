package keyed

import "iter"

// Len returns how many keys are kept, idle ones included that were not given back yet.
func (m *Map[S]) Len() int {
	n := 0
	for i := range m.shards {
		n += m.shards[i].len()
	}
	return n
}

// Evicted returns how many keys have been forgotten for room. While it grows,
// MaxKeys is too small for the keys in use, or a caller makes up keys.
func (m *Map[S]) Evicted() uint64 { return m.evicted.Load() }

// All yields the keys and their states, in no particular order. Keys of more than
// 128 bytes are "sha256:" and the digest in hexadecimal. A key that comes or goes
// meanwhile may be missing. Keys are not used by it, and the Map may be.
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
