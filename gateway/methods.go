package gateway

import (
	"maps"
	"sync"
	"sync/atomic"
)

// maxMethods bounds the methods that a gateway remembers, and so the names that
// interceptors keep.
const maxMethods = 1000

// methods are the methods that the upstream is known to have: those that it
// answered with a message or with OK. Errors prove nothing, an upstream may reject
// whatever it is called.
type methods struct {
	mu    sync.Mutex                          // for learn
	names atomic.Pointer[map[string]struct{}] // replaced, never changed
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
