package errtree_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/errtree"
)

type one struct{ inner error }

func (e *one) Error() string { return e.inner.Error() }
func (e *one) Unwrap() error { return e.inner }

type many struct{ inner []error }

func (*many) Error() string     { return "secret" }
func (e *many) Unwrap() []error { return e.inner }

type panics struct{}

func (panics) Error() string { return "panics" }
func (panics) Unwrap() error { panic("Unwrap") }

// Errors that wrap themselves are replaced, and all others are returned.
func TestBounded(t *testing.T) {
	itself, branches := new(one), new(many)
	itself.inner = itself
	branches.inner = []error{io.EOF, branches, branches}
	wide := make([]error, errtree.Max)
	deep := io.EOF
	for i := range wide {
		wide[i], deep = io.EOF, &one{deep}
	}
	for name, test := range map[string]struct {
		err    error
		finite bool
	}{
		"nil": {nil, true}, "leaf": {io.EOF, true}, "wrapped": {fmt.Errorf("%w", io.EOF), true}, "wraps nil": {new(one), true},
		"joined": {errors.Join(io.EOF, nil, errors.Join(io.EOF)), true}, "nil in many": {&many{[]error{nil}}, true},
		"panics": {panics{}, true}, "most": {&many{wide[1:]}, true},
		"itself": {itself, false}, "branches": {branches, false}, "behind": {errors.Join(io.EOF, itself), false},
		"wide": {&many{wide}, false}, "deep": {deep, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := errtree.Bounded(test.err)
			if test.finite {
				if got != test.err { //nolint:errorlint // the identical error
					t.Errorf("%v; want the error", got)
				}
				return
			}
			if !errors.Is(got, errtree.ErrEndless) || errors.Is(got, io.EOF) || !strings.Contains(got.Error(), fmt.Sprintf("%T", test.err)) {
				t.Errorf("%v; want ErrEndless and the type", got)
			}
		})
	}
}
