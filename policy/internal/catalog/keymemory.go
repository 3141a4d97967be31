package catalog

import (
	"cmp"
	"sync"

	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// KeyMemories are the idempotency keys that policies have in memory. Entries with the same bounds share a memory: those
// of a policy, of the one before and of the one after, since a repeat of a call from before a reload must not execute.
// Keys are separate for each method. The zero value has none. Safe for concurrent use.
type KeyMemories struct {
	mu   sync.Mutex // guards the fields below
	open map[idempotency.MemoryConfig]*keyMemory
}

// keyMemory is a memory with the number of interceptors that use it.
type keyMemory struct {
	*idempotency.Memory

	uses int
}

// Open returns the memory with some bounds. It is dropped when release was called for each Open.
func (k *KeyMemories) Open(config idempotency.MemoryConfig) (memory *idempotency.Memory, release func() error) {
	config.MaxKeys = cmp.Or(config.MaxKeys, idempotency.DefaultMaxKeys)
	config.MaxBytes = cmp.Or(config.MaxBytes, idempotency.DefaultMaxBytes)
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.open[config]
	if m == nil {
		m = &keyMemory{Memory: idempotency.NewMemory(config)}
		if k.open == nil {
			k.open = make(map[idempotency.MemoryConfig]*keyMemory)
		}
		k.open[config] = m
	}
	m.uses++
	return m.Memory, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		m.uses--
		if m.uses == 0 {
			delete(k.open, config)
		}
		return nil
	}
}
