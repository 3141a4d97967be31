package logging

import (
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// errorText returns the text of an error, followed by those of the errors in it
// that it does not tell: of a rejection, its causes.
func errorText(err error) string {
	text := err.Error()
	for _, cause := range causes(err) {
		if t := errorText(cause); t != "" && !strings.Contains(text, t) && len(text) < maxText {
			text += ": " + t
		}
	}
	return logtext.Cut(text, maxText)
}

func causes(err error) []error {
	switch err := err.(type) { //nolint:errorlint // what stands directly in an error is asked for
	case interface{ Unwrap() error }:
		if cause := err.Unwrap(); cause != nil {
			return []error{cause}
		}
	case interface{ Unwrap() []error }:
		return err.Unwrap()
	}
	return nil
}
