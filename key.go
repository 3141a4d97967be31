package hauberk

import "context"

// Key names a piece of a call's state, with its type. Make keys once, in package
// variables; two keys of the same name are different keys.
type Key[T any] struct {
	id *keyID
}

// StateKey is a [Key] of any type, for a [Declaration].
type StateKey interface {
	Name() string
	identity() *keyID
}

type keyID struct{ name string }

// slot is one value of a call's state.
type slot struct {
	key   *keyID
	value any
}

// NewKey makes a key. The name is for people: it stands in errors and
// explanations.
func NewKey[T any](name string) Key[T] {
	return Key[T]{id: &keyID{name: name}}
}

// Name returns the key's name.
func (k Key[T]) Name() string { return k.id.name }

func (k Key[T]) identity() *keyID { return k.id }

// Set stores v in the call's state, in place of an earlier value. State belongs
// to the call: links further out read it after next, the handler through its
// context, and copies made by [Call.Attempt] share it. Safe for concurrent use.
func (k Key[T]) Set(call *Call, v T) {
	call.state().setSlot(k.id, v)
}

// Get returns the value in the call that ctx belongs to, and whether there is one.
// Safe for concurrent use.
func (k Key[T]) Get(ctx context.Context) (T, bool) {
	return k.From(FromContext(ctx))
}

// Or returns the value in the call that ctx belongs to, or otherwise.
func (k Key[T]) Or(ctx context.Context, otherwise T) T {
	if v, ok := k.Get(ctx); ok {
		return v
	}
	return otherwise
}

// From returns the value in a call, and whether there is one. A nil call has none.
func (k Key[T]) From(call *Call) (T, bool) {
	var none T
	if call == nil {
		return none, false
	}
	v, ok := call.state().slot(k.id)
	if !ok {
		return none, false
	}
	return v.(T), true
}

func (c *Call) setSlot(key *keyID, v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.slots {
		if s := &c.slots[i]; s.key == nil || s.key == key {
			*s = slot{key, v}
			return
		}
	}
	more := c.lazy()
	for i := range more.slots {
		if more.slots[i].key == key {
			more.slots[i].value = v
			return
		}
	}
	more.slots = append(more.slots, slot{key, v})
}

func (c *Call) slot(key *keyID) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.slots {
		if c.slots[i].key == key {
			return c.slots[i].value, true
		}
	}
	if more := c.more.Load(); more != nil {
		for _, s := range more.slots {
			if s.key == key {
				return s.value, true
			}
		}
	}
	return nil, false
}
