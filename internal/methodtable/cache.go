package methodtable

import (
	"sync"
	"sync/atomic"
)

// DefaultLimit is the limit of a zero [Cache]: more than the methods of a large server, since
// a full cache makes the data of all methods again.
const DefaultLimit = 1 << 14

// Cache maps keys, such as pointers to methods, to values. A full Cache drops all its
// entries. The zero value is ready for use. A Cache is safe for concurrent use and must not
// be copied after first use.
type Cache[K comparable, V any] struct {
	// Limit bounds the number of keys; 0 means DefaultLimit. It must not be changed
	// after first use.
	Limit int

	entries sync.Map // K to V
	size    atomic.Int64
}

// Get returns the value of k, and whether the cache contains it.
func (c *Cache[K, V]) Get(k K) (v V, ok bool) {
	if kept, ok := c.entries.Load(k); ok {
		return kept.(V), true
	}
	return v, false
}

// Keep returns the value of k. If there is none, it stores and returns v.
func (c *Cache[K, V]) Keep(k K, v V) V {
	if kept, ok := c.Get(k); ok {
		return kept
	}
	if c.size.Add(1) > int64(c.limit()) {
		c.entries.Clear()
		c.size.Store(1)
	}
	kept, _ := c.entries.LoadOrStore(k, v)
	return kept.(V)
}

// Len returns the number of keys.
func (c *Cache[K, V]) Len() (n int) {
	for range c.entries.Range {
		n++
	}
	return n
}

func (c *Cache[K, V]) limit() int {
	if c.Limit == 0 {
		return DefaultLimit
	}
	return c.Limit
}
