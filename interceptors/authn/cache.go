package authn

import (
	"sync"
	"time"
)

// cache keeps the identities of tokens that the validator has accepted, in two
// generations: lookups find both, new tokens go into the young one, and when that is full
// it becomes the old one. A token in use moves to the young generation again, so that it
// outlives those that are not.
//
// mu guards both maps. Safe for concurrent use.
type cache struct {
	size int           // of a generation
	keep time.Duration // how long a token is kept; 0: until it expires
	now  func() time.Time

	mu         sync.RWMutex
	young, old map[string]cached
}

type cached struct {
	identity *Identity
	until    time.Time
}

func newCache(tokens int, keep time.Duration) *cache {
	return &cache{
		size: max(tokens/2, 1), keep: keep, now: time.Now,
		young: make(map[string]cached), old: make(map[string]cached),
	}
}

// get returns the identity of a token, or nil. A nil cache has none.
func (c *cache) get(token string) *Identity {
	if c == nil {
		return nil
	}
	c.mu.RLock()
	entry, isYoung := c.young[token]
	if !isYoung {
		entry = c.old[token]
	}
	c.mu.RUnlock()
	switch {
	case entry.identity == nil || !c.now().Before(entry.until) || isRevoked(entry.identity):
		return nil
	case !isYoung:
		c.store(token, entry)
	}
	return entry.identity
}

// put keeps an identity, unless nothing says for how long.
func (c *cache) put(token string, id *Identity) {
	if c == nil || id == nil || id.Subject == "" {
		return
	}
	until := id.Expires
	if c.keep > 0 {
		if latest := c.now().Add(c.keep); until.IsZero() || latest.Before(until) {
			until = latest
		}
	}
	if !until.IsZero() {
		c.store(token, cached{id, until})
	}
}

func (c *cache) store(token string, entry cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.size {
		c.young, c.old = make(map[string]cached), c.young
	}
	c.young[token] = entry
}
