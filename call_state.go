package hauberk

import (
	"slices"
	"sync/atomic"
)

// stateList is the typed state of a call: an immutable list, replaced when a value
// is set, so that readers take no lock. The first few nodes are stored in the call,
// where they cost no allocation.
type stateList struct {
	head  atomic.Pointer[stateNode]
	nodes [3]stateNode // those in use have keys; guarded by the mutex of the call until they are in the list
}

// stateNode is one value. It never changes once the list has it.
type stateNode struct {
	key   *keyID
	value any
	next  *stateNode
}

func (s *stateList) get(key *keyID) (any, bool) {
	for n := s.head.Load(); n != nil; n = n.next {
		if n.key == key {
			return n.value, true
		}
	}
	return nil, false
}

// set stores a value in front of the others, without an earlier one of its key.
// The caller holds the mutex of the call.
func (s *stateList) set(key *keyID, value any) {
	rest := s.head.Load()
	if _, replaces := s.get(key); replaces {
		rest = rest.without(key)
	}
	n := s.room()
	*n = stateNode{key, value, rest}
	s.head.Store(n)
}

// room returns a node that the list does not use. The caller holds the mutex of the call.
func (s *stateList) room() *stateNode {
	for i := range s.nodes {
		if n := &s.nodes[i]; n.key == nil {
			return n
		}
	}
	return new(stateNode)
}

// without returns a list that has no node of key, and shares what it can.
func (n *stateNode) without(key *keyID) *stateNode {
	if n.key == key {
		return n.next
	}
	return &stateNode{n.key, n.value, n.next.without(key)}
}

func (c *Call) setValue(key *keyID, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(key, value)
}

// store stores a value, and notes those that Adopt copies from a detached call. The lock is held.
func (c *Call) store(key *keyID, value any) {
	c.values.set(key, value)
	if more := c.more.Load(); key.ofAttempts && more != nil && more.detached && !slices.Contains(more.ownKeys, key) {
		more.ownKeys = append(more.ownKeys, key)
	}
}

// keepValue stores a value unless there is one, and returns what is stored.
func (c *Call) keepValue(key *keyID, value any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept, ok := c.values.get(key); ok {
		return kept
	}
	c.store(key, value)
	return value
}

// inheritValues gives a detached call, which no other goroutine has yet, the values that are read in c.
func (c *Call) inheritValues(from *Call) {
	var copies []*Call
	for ; from.copyOf != nil; from = from.copyOf {
		copies = append(copies, from)
	}
	c.values.head.Store(from.values.head.Load())
	for _, copied := range slices.Backward(copies) {
		c.adoptValues(copied)
	}
}

// adoptOwnValues copies the values of a detached call that it has not begun with: those are of the call that it
// was made for, which others that adopt it must not see.
func (c *Call) adoptOwnValues(d *Call) {
	more := d.lazy()
	d.mu.Lock()
	own := slices.Clone(more.ownKeys)
	d.mu.Unlock()
	for _, key := range own {
		if value, ok := d.values.get(key); ok {
			c.setValue(key, value)
		}
	}
}

// adoptValues copies the values that are stored in an attempt alone.
func (c *Call) adoptValues(attempt *Call) {
	for n := attempt.values.head.Load(); n != nil; n = n.next {
		if n.key.ofAttempts {
			c.setValue(n.key, n.value)
		}
	}
}
