// Package options applies the options that a constructor was given.
package options

import (
	"errors"
	"fmt"
)

// Apply calls apply with each option that is not nil, in their order. It returns an
// error that names the places of those that are nil.
func Apply[O any](list []O, apply func(O)) error {
	var errs []error
	for i, o := range list {
		if any(o) == nil {
			errs = append(errs, fmt.Errorf("option %d of New is nil", i+1))
			continue
		}
		apply(o)
	}
	return errors.Join(errs...)
}
