package methodtable

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// MaxName is the greatest length of a method's full name in bytes. Longer names share data.
const MaxName = 256

// Presentable reports whether an untrusted name can be a label or an attribute: it is valid
// UTF-8 and has at most limit bytes.
func Presentable(name string, limit int) bool { return len(name) <= limit && utf8.ValidString(name) }

// Names maps the full names of methods to values and never removes one. It is safe for
// concurrent use and must not be copied after first use.
type Names[V any] struct {
	mu     sync.RWMutex
	values map[string]V
}

// Get returns the value of a name.
func (n *Names[V]) Get(name string) (v V, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	v, ok = n.values[name]
	return v, ok
}

// Add returns the value of a name. If the name has none, Add stores and returns the result of
// create, unless there are limit names already. A negative limit means no limit. create runs
// under the lock. It receives a copy of the name, so that a larger string which contains the
// name can be freed.
func (n *Names[V]) Add(name string, limit int, create func(name string) V) (v V, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok = n.values[name]; ok {
		return v, true
	}
	if limit >= 0 && len(n.values) >= limit {
		return v, false
	}
	if n.values == nil {
		n.values = make(map[string]V)
	}
	name = strings.Clone(name)
	v = create(name)
	n.values[name] = v
	return v, true
}

// All returns all values, in no particular order.
func (n *Names[V]) All() []V {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Collect(maps.Values(n.values))
}
