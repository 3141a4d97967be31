package logging

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// unwoundError is the error of a call whose chain is unwound. The panic itself is not
// looked at: to do so would stop it.
type unwoundError struct{}

func (unwoundError) Error() string {
	return "logging: the chain of the call was unwound by a panic, or by runtime.Goexit"
}

func (u unwoundError) GRPCStatus() *status.Status { return status.New(codes.Internal, u.Error()) }

// errorText returns the text of an error, followed by those of the errors in it
// that it does not tell: of a refusal, its causes.
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
