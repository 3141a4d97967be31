// Package options applies the options of a constructor.
package options

import (
	"errors"
	"fmt"
)

// Apply calls apply with each option that is not nil, in order. Its error names the
// positions of the options that are nil.
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
