// Package errtree finds errors that wrap themselves. errors.Is and errors.As, and with them status.FromError, do not
// return for such an error.
package errtree

import (
	"errors"
	"fmt"
)

// Max bounds the errors in a tree.
const Max = 1 << 14

// ErrEndless is found by errors.Is in what Bounded returns in place of an error.
var ErrEndless = errors.New("hauberk: an error has no end")

// Bounded returns err, or an error with ErrEndless if the tree of err has more than Max errors: it may wrap itself.
// That error has the type of err, does not wrap it, and has no text of it, since its Error method may not return
// either.
func Bounded(err error) error {
	if Finite(err) {
		return err
	}
	return &endlessError{fmt.Sprintf("%T", err)}
}

type endlessError struct{ of string }

func (e *endlessError) Error() string {
	return fmt.Sprintf("hauberk: an error of the type %s wraps itself, or more than %d errors", e.of, Max)
}

// Is makes errors.Is find ErrEndless.
func (*endlessError) Is(target error) bool { return target == ErrEndless }

// Finite reports whether a tree has at most Max errors. If a method of an error panics, the tree is finite as far as
// is known.
func Finite(err error) (finite bool) {
	defer func() {
		if recover() != nil {
			finite = true
		}
	}()
	left := Max
	return count(err, &left)
}

// count takes the errors of a tree from those that are left, and reports whether there were enough.
func count(err error, left *int) bool {
	for err != nil {
		if *left == 0 {
			return false
		}
		*left--
		switch x := err.(type) { //nolint:errorlint // these are all errors of the tree
		case interface{ Unwrap() error }:
			err = x.Unwrap()
		case interface{ Unwrap() []error }:
			for _, inner := range x.Unwrap() {
				if !count(inner, left) {
					return false
				}
			}
			return true
		default:
			return true
		}
	}
	return true
}
