package hauberk

import "context"

// Key is the key of a typed value in the state of a call. Make keys with [NewKey], once,
// in package variables; two keys with the same name are different keys.
type Key[T any] struct {
	id *keyID
}

// StateKey is a [Key] of any type, for a [Declaration].
type StateKey interface {
	Name() string
	identity() *keyID
}

type keyID struct{ name string }

// NewKey makes a key. The name is used in errors, explanations and logs only.
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

// Set stores v in the call's state, in place of an earlier value. State belongs to the
// call: outer interceptors read it after next, the handler reads it through its context,
// and copies made by [Call.Attempt] share it. Safe for concurrent use.
func (k Key[T]) Set(call *Call, v T) {
	k.check()
	if call == nil {
		panic("hauberk: the key " + k.id.name + " was set on a nil Call; outside of calls there is no state")
	}
	call.state().setValue(k.id, v)
}

// FromContext returns the value in the call that ctx belongs to, and whether there is
// one. Safe for concurrent use.
func (k Key[T]) FromContext(ctx context.Context) (T, bool) {
	return k.Get(FromContext(ctx))
}

// Or returns the value in the call that ctx belongs to, or otherwise if there is none.
// Safe for concurrent use.
func (k Key[T]) Or(ctx context.Context, otherwise T) T {
	if v, ok := k.FromContext(ctx); ok {
		return v
	}
	return otherwise
}

// Get returns the value in a call, and whether there is one. A nil call has none.
// Safe for concurrent use.
func (k Key[T]) Get(call *Call) (v T, ok bool) {
	k.check()
	if call == nil {
		return v, false
	}
	value, ok := call.state().values.get(k.id)
	v, _ = value.(T) // a nil of an interface type is stored as an untyped nil
	return v, ok
}

// GetOrSet returns the value in a call. If there is none, it stores v and returns it. Of
// several concurrent calls one stores its value. It panics for a nil call. Safe for
// concurrent use.
func (k Key[T]) GetOrSet(call *Call, v T) T {
	k.check()
	if call == nil {
		panic("hauberk: the key " + k.id.name + " was set on a nil Call; outside of calls there is no state")
	}
	kept, _ := call.state().keepValue(k.id, v).(T)
	return kept
}

// check panics on a key that would be mistaken for another.
func (k Key[T]) check() {
	if k.id == nil {
		panic("hauberk: a zero Key was used; make keys with hauberk.NewKey")
	}
}
