package gateway

import (
	"maps"
	"sync"
	"sync/atomic"
)

// maxMethods is the largest number of known methods. It also bounds the names that
// interceptors keep.
const maxMethods = 1000

// methods has the names of the methods that the upstream has answered with a message or
// with OK. An error is no evidence that a method exists: the upstream may reject all calls.
type methods struct {
	mu    sync.Mutex                          // held by learn
	names atomic.Pointer[map[string]struct{}] // replaced by learn, never modified
}

func (m *methods) known(name string) bool {
	names := m.names.Load()
	if names == nil {
		return false
	}
	_, ok := (*names)[name]
	return ok
}

func (m *methods) learn(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[string]struct{})
	if old := m.names.Load(); old != nil {
		if len(*old) >= maxMethods {
			return
		}
		names = maps.Clone(*old)
	}
	names[name] = struct{}{}
	m.names.Store(&names)
}
