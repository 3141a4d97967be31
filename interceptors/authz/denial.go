package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// denial is the cause of a rejection that a missing attribute or a failed expression has led to. It
// is for logs; clients receive nothing of it.
type denial struct {
	text    string
	failure error // of the expression; may be nil
}

func (d *denial) Error() string { return ErrDenied.Error() + ": " + d.text }

func (d *denial) Unwrap() []error {
	if d.failure == nil {
		return []error{ErrDenied}
	}
	return []error{ErrDenied, d.failure}
}

// deniedBy returns the outcome of a call that a rule of Deny matches, with certainty or not.
func (f *facts) deniedBy(r *rule, matches truth) error {
	switch {
	case matches == yes:
		return errDenied
	case f.failed == r:
		why := f.why()
		return denied(fmt.Sprintf("the rule %q denies the call, since its expression failed: %v", r.name, why), why)
	default:
		return denied(fmt.Sprintf("the rule %q denies the call, since an attribute is missing", r.name), nil)
	}
}

// notAllowed returns the outcome of a call that no rule of Allow matches.
func (f *facts) notAllowed() error {
	if f.failed == nil {
		return errDenied
	}
	why := f.why()
	return denied(fmt.Sprintf("the expression of the rule %q failed: %v", f.failed.name, why), why)
}

// fail notes that the expression of a rule failed: for rules of Allow the first one, and for rules
// of Deny the last one, which denies the call.
func (f *facts) fail(r *rule, err error) {
	if r.deny || f.failed == nil {
		f.failed, f.failure = r, err
	}
}

func denied(text string, failure error) error {
	r := *errDenied
	r.Cause = &denial{text, failure}
	return &r
}

// maxFailure bounds the text of a failed expression.
const maxFailure = 256

// cutError is a failure whose text is bounded.
type cutError struct{ failure error }

func (e *cutError) Error() string { return logtext.Cut(e.failure.Error(), maxFailure) }
func (e *cutError) Unwrap() error { return e.failure }

// withoutValues are the beginnings of failures that have no value of the call.
var withoutValues = []string{ //nolint:gochecknoglobals // never written
	errNoRequest.Error(), errNotBool.Error(), "it does not fit the requests of the method: ", "it can cost ",
	"the call has no identity", "the identity has no ", "no such overload", "no such attribute",
	"type conversion error", "operation cancelled: ", "division by zero", "modulus by zero", "integer overflow",
	"unsigned integer overflow", "timestamp overflow", "duration overflow",
}

// Failures in place of those of CEL that can have a value of the call.
var (
	errOtherKey = errors.New("no such key: one that the call has")
	errOther    = errors.New("it cannot use a value of the call")
)

// why returns why the expression failed, for logs, which can have the texts of wrapped errors, too. It has no
// value of the call, which can be a secret: a missing key is named only if the expression has it.
func (f *facts) why() error {
	text := f.failure.Error()
	key, missing := strings.CutPrefix(text, "no such key: ")
	beginsText := func(start string) bool { return strings.HasPrefix(text, start) }
	switch {
	case missing && !strings.Contains(f.failed.when.text, key):
		return errOtherKey
	case missing || slices.ContainsFunc(withoutValues, beginsText):
		return &cutError{f.failure}
	default:
		return errOther
	}
}
