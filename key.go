package hauberk

import (
	"context"
	"sync/atomic"
)

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

// slot is one value of a call's state. It is written before the key is stored, and
// never after.
type slot struct {
	key   atomic.Pointer[keyID]
	value any // or a *replaceable
}

// replaceable is a value that was set more than once.
type replaceable struct{ atomic.Pointer[any] }

// vacated is the key of a slot whose value has moved.
var vacated keyID //nolint:gochecknoglobals // an address that is nothing else

// replace is a function of its own so that only what replaces is allocated.
func (r *replaceable) replace(v any) { r.Store(&v) }

func (s *slot) load() any {
	if r, ok := s.value.(*replaceable); ok {
		return *r.Load()
	}
	return s.value
}

// NewKey makes a key. The name is for people: it stands in errors and
// explanations.
func NewKey[T any](name string) Key[T] {
	return Key[T]{id: &keyID{name: name}}
}

// Name returns the key's name.
func (k Key[T]) Name() string {
	if k.id == nil {
		return ""
	}
	return k.id.name
}

func (k Key[T]) identity() *keyID { return k.id }

// Set stores v in the call's state, in place of an earlier value. State belongs
// to the call: links further out read it after next, the handler through its
// context, and copies made by [Call.Attempt] share it. Safe for concurrent use.
func (k Key[T]) Set(call *Call, v T) {
	k.check()
	if call == nil {
		panic("hauberk: the key " + k.id.name + " was set on a nil Call; outside of calls there is no state")
	}
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
// Safe for concurrent use.
func (k Key[T]) From(call *Call) (v T, ok bool) {
	k.check()
	if call == nil {
		return v, false
	}
	value, ok := call.state().slot(k.id)
	v, _ = value.(T) // a nil of an interface type is stored as an untyped nil
	return v, ok
}

// keep stores v unless there is a value, and returns what is stored.
func (k Key[T]) keep(call *Call, v T) T {
	kept, _ := call.state().keepSlot(k.id, v).(T)
	return kept
}

// check panics on a key that would be mistaken for another.
func (k Key[T]) check() {
	if k.id == nil {
		panic("hauberk: a zero Key was used; make keys with hauberk.NewKey")
	}
}

// setSlot stores a value. Readers take no lock, so that one that is in a slot is
// never written over: the first that takes its place moves to a new slot, from
// where all later ones can.
func (c *Call) setSlot(key *keyID, v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.findSlot(key)
	if old == nil {
		c.addSlot(key, v)
		return
	}
	r, moved := old.value.(*replaceable)
	if !moved {
		r = new(replaceable)
	}
	r.replace(v)
	if !moved {
		c.addSlot(key, r)
		old.key.Store(&vacated)
	}
}

func (c *Call) keepSlot(key *keyID, v any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.findSlot(key); at != nil {
		return at.load()
	}
	c.addSlot(key, v)
	return v
}

func (c *Call) slot(key *keyID) (any, bool) {
	for i := range c.slots {
		switch c.slots[i].key.Load() {
		case key:
			return c.slots[i].load(), true
		case nil:
			return nil, false // those behind are free too
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.findSlot(key); at != nil {
		return at.load(), true
	}
	return nil, false
}

// findSlot returns the slot of a key, or nil. The lock is held.
func (c *Call) findSlot(key *keyID) *slot {
	for i := range c.slots {
		if c.slots[i].key.Load() == key {
			return &c.slots[i]
		}
	}
	if more := c.more.Load(); more != nil {
		for _, s := range more.slots {
			if s.key.Load() == key {
				return s
			}
		}
	}
	return nil
}

// addSlot stores the value of a key behind all others. The lock is held.
func (c *Call) addSlot(key *keyID, v any) {
	for i := range c.slots {
		if s := &c.slots[i]; s.key.Load() == nil {
			s.value = v
			s.key.Store(key)
			return
		}
	}
	s := &slot{value: v}
	s.key.Store(key)
	more := c.lazy()
	more.slots = append(more.slots, s)
}
