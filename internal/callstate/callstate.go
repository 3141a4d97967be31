// Package callstate holds the values of a call's state that the option State of an interceptor names: logging,
// recovery, report and audit have one.
package callstate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hauberk-rpc/hauberk"
)

// MaxName bounds a name, in bytes.
const MaxName = 256

// Value is a value of the state, and the name that it is recorded under.
type Value[R any] struct {
	Name string
	// Of reads the value, such as a hauberk.Key.
	Of R
}

// List has the values in the order of their options.
type List[R any] []Value[R]

// Add adds a value of the state that key is the key of. It returns what is wrong with the option State, all at
// once. taken reports whether the record has an attribute of a name already; nil means that it has none.
func (l *List[R]) Add(name string, key hauberk.StateKey, of R, taken func(name string) bool) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if key.Name() == "" {
		fail("State %.100q was given a key without a name; make keys with hauberk.NewKey", name)
	}
	switch {
	case name == "":
		fail("State was given an empty name")
	case len(name) > MaxName:
		fail("State was given a name of %d bytes; want at most %d", len(name), MaxName)
	case taken != nil && taken(name):
		fail("State %q has the name of one of the record's own attributes", name)
	case slices.ContainsFunc(*l, func(v Value[R]) bool { return v.Name == name }):
		fail("State %q is there twice", name)
	}
	*l = append(*l, Value[R]{name, of})
	return errors.Join(errs...)
}
