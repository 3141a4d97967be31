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

type keyID struct {
	name       string
	ofAttempts bool
	derived    any // func(*Call) (T, bool): the value in a call that has none of the key; nil for no value
}

// NewKey makes a key. The name is used in errors, explanations and logs only.
func NewKey[T any](name string) Key[T] {
	return Key[T]{id: &keyID{name: name}}
}

// NewAttemptKey makes a key whose values differ between concurrent attempts of a call, such
// as the number of an attempt. [Key.Set] with a copy made by [Call.Attempt] stores the value
// in the copy alone, and [Call.Adopt] copies it to the call, as [FromClient] does when its attempt
// has ended. The methods that read return the value in the copy, or otherwise that in the call that
// it is a copy of.
func NewAttemptKey[T any](name string) Key[T] {
	return Key[T]{id: &keyID{name: name, ofAttempts: true}}
}

// owner returns the call that a value is set on.
func (id *keyID) owner(call *Call) *Call {
	if id.ofAttempts {
		return call
	}
	return call.state()
}

// of returns the value that a call has.
func (id *keyID) of(call *Call) (value any, ok bool) {
	for c := id.owner(call); c != nil && !ok; c = c.copyOf {
		value, ok = c.values.get(id)
	}
	return value, ok
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
// and copies made by [Call.Attempt] share it, except for keys of [NewAttemptKey]. Safe for
// concurrent use.
func (k Key[T]) Set(call *Call, v T) {
	k.check()
	if call == nil {
		panic("hauberk: the key " + k.id.name + " was set on a nil Call; outside of calls there is no state")
	}
	k.id.owner(call).setValue(k.id, v)
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
	value, ok := k.id.of(call)
	if from, derives := k.id.derived.(func(*Call) (T, bool)); derives && !ok {
		return from(call)
	}
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
	if kept, ok := k.Get(call); ok {
		return kept
	}
	kept, _ := k.id.owner(call).keepValue(k.id, v).(T)
	return kept
}

// check panics on a key that would be mistaken for another.
func (k Key[T]) check() {
	if k.id == nil {
		panic("hauberk: a zero Key was used; make keys with hauberk.NewKey")
	}
}
