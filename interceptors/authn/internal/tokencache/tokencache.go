// Package tokencache keeps what validated tokens have shown, so that a token is validated once.
package tokencache

import (
	"sync"
	"time"
)

// Cache keeps a value for each token until a time, in two generations: lookups find both, new
// tokens go into the young one, and when that is full it becomes the old one. A token in use
// moves to the young generation again, so that it outlives those that are not.
//
// mu guards both maps. Safe for concurrent use. A nil Cache keeps nothing.
type Cache[V any] struct {
	size int // of a generation

	mu         sync.RWMutex
	young, old map[string]entry[V]
}

type entry[V any] struct {
	value V
	until time.Time
}

// New returns a cache of up to tokens tokens, at least two.
func New[V any](tokens int) *Cache[V] {
	return &Cache[V]{
		size:  max(tokens/2, 1),
		young: make(map[string]entry[V]), old: make(map[string]entry[V]),
	}
}

// Get returns the value of a token, and whether it is kept at the time now.
func (c *Cache[V]) Get(token string, now time.Time) (value V, ok bool) {
	if c == nil {
		return value, false
	}
	c.mu.RLock()
	e, isYoung := c.young[token]
	found := isYoung
	if !isYoung {
		e, found = c.old[token]
	}
	c.mu.RUnlock()
	if !found || !now.Before(e.until) {
		return value, false
	}
	if !isYoung {
		c.store(token, e)
	}
	return e.value, true
}

// Put keeps the value of a token until a time.
func (c *Cache[V]) Put(token string, value V, until time.Time) {
	if c != nil {
		c.store(token, entry[V]{value, until})
	}
}

// Len returns the number of entries, those included whose time is over.
func (c *Cache[V]) Len() int {
	if c == nil {
		return 0
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}

func (c *Cache[V]) store(token string, e entry[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.size {
		c.young, c.old = make(map[string]entry[V]), c.young
	}
	c.young[token] = e
}
