package authz

import (
	"fmt"

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
		text := fmt.Sprintf("the rule %q denies the call, since its expression failed: %s", r.name, cut(f.failure))
		return denied(text, f.failure)
	default:
		return denied(fmt.Sprintf("the rule %q denies the call, since an attribute is missing", r.name), nil)
	}
}

// notAllowed returns the outcome of a call that no rule of Allow matches.
func (f *facts) notAllowed() error {
	if f.failed == nil {
		return errDenied
	}
	return denied(fmt.Sprintf("the expression of the rule %q failed: %s", f.failed.name, cut(f.failure)), f.failure)
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

// maxFailure bounds the text of a failed expression, which can have a value of the call in it.
const maxFailure = 256

func cut(err error) string { return logtext.Cut(err.Error(), maxFailure) }
