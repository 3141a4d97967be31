// Package tokencache keeps what validated credentials have shown, so that each is validated once.
package tokencache

import (
	"sync"
	"time"
)

// Cache keeps a value for each key, such as a token, until a time, in two generations: lookups find
// both, new keys go into the young one, and when that is full it becomes the old one. A key in
// use moves to the young generation again, so that it outlives those that are not.
//
// mu guards both maps. Safe for concurrent use. A nil Cache keeps nothing.
type Cache[K comparable, V any] struct {
	size int // of a generation

	mu         sync.RWMutex
	young, old map[K]entry[V]
}

type entry[V any] struct {
	value V
	until time.Time
}

// New returns a cache of up to keys keys, at least two.
func New[K comparable, V any](keys int) *Cache[K, V] {
	return &Cache[K, V]{
		size:  max(keys/2, 1),
		young: make(map[K]entry[V]), old: make(map[K]entry[V]),
	}
}

// Get returns the value of a key, and whether it is kept at the time now.
func (c *Cache[K, V]) Get(key K, now time.Time) (value V, ok bool) {
	if c == nil {
		return value, false
	}
	c.mu.RLock()
	e, isYoung := c.young[key]
	found := isYoung
	if !isYoung {
		e, found = c.old[key]
	}
	c.mu.RUnlock()
	if !found || !now.Before(e.until) {
		return value, false
	}
	if !isYoung {
		c.renew(key)
	}
	return e.value, true
}

// Put keeps the value of a key until a time, in place of an earlier value.
func (c *Cache[K, V]) Put(key K, value V, until time.Time) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(key, entry[V]{value, until})
}

// Delete removes a key. A lookup at the same time does not bring it back.
func (c *Cache[K, V]) Delete(key K) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, key)
	delete(c.old, key)
}

// Len returns the number of entries, those included whose time is over.
func (c *Cache[K, V]) Len() int {
	if c == nil {
		return 0
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}

// renew makes an old key young. It reads the entry again: meanwhile another may have replaced or removed it.
func (c *Cache[K, V]) renew(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, isYoung := c.young[key]
	if e, isOld := c.old[key]; isOld && !isYoung {
		c.store(key, e)
	}
}

// store puts an entry into the young generation. mu is locked.
func (c *Cache[K, V]) store(key K, e entry[V]) {
	if _, has := c.young[key]; !has && len(c.young) >= c.size {
		c.young, c.old = make(map[K]entry[V]), c.young
	}
	c.young[key] = e
}
