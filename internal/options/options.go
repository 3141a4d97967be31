// Package options applies the options of a constructor, and recognizes nil dependencies.
package options

import (
	"errors"
	"fmt"
	"reflect"
)

// Apply calls apply with each option of a constructor New that is not nil, in their order.
// It returns an error that names the places of those that are nil.
func Apply[O any](list []O, apply func(O)) error { return ApplyTo("New", list, apply) }

// ApplyTo is Apply for another constructor.
func ApplyTo[O any](constructor string, list []O, apply func(O)) error {
	var errs []error
	for i, o := range list {
		if any(o) == nil {
			errs = append(errs, fmt.Errorf("option %d of %s is nil", i+1, constructor))
			continue
		}
		apply(o)
	}
	return errors.Join(errs...)
}

// IsNil reports whether a dependency is nil, or has a nil pointer, function, map, slice or channel in it, such as the
// file of an OpenFile whose error was not looked at.
func IsNil(x any) bool {
	v := reflect.ValueOf(x)
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan:
		return v.IsNil()
	default:
		return false
	}
}
