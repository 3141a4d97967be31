package logging

import (
	"reflect"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// errorText returns the text of an error and of its causes. The text has no part twice,
// and not the code, which the record has already. It has the type of an error whose methods
// panic.
func errorText(err error, code codes.Code) (text string) {
	defer func() {
		if recover() != nil {
			text = logtext.Cut("["+reflect.TypeOf(err).String()+"]", maxText)
		}
	}()
	text = ownText(err, code)
	for _, cause := range causes(err) {
		if len(text) >= maxText {
			break
		}
		text = joined(text, errorText(cause, code))
	}
	return logtext.Cut(text, maxText)
}

// statusError is the type of the errors of grpc-go, whose text is costly to make.
//
//nolint:gochecknoglobals // never written
var statusError = reflect.TypeOf(status.Error(codes.Unknown, ""))

// ownText returns the text of an error without the code.
func ownText(err error, code codes.Code) string {
	if r, ok := err.(*hauberk.Rejection); ok && r != nil { //nolint:errorlint // the text is that of err itself
		return withoutCode(r.Message, code)
	}
	if reflect.TypeOf(err) == statusError {
		if st, _ := status.FromError(err); st.Code() == code {
			return withoutCode(st.Message(), code)
		}
	}
	return withoutCode(err.Error(), code)
}

// withoutCode removes the texts with which errors of grpc-go begin.
func withoutCode(text string, code codes.Code) string {
	const begin, end = "rpc error: code = ", " desc = "
	if rest, ok := strings.CutPrefix(text, begin); ok {
		if rest, ok = strings.CutPrefix(rest, code.String()+end); ok {
			text = rest
		}
	}
	if !strings.Contains(text, begin) {
		return text
	}
	return strings.ReplaceAll(text, begin+code.String()+end, "")
}

// joined returns a text with the parts of a cause that the text does not have. A cause
// that contains the whole text replaces it.
func joined(text, cause string) string {
	switch {
	case contains(text, cause):
		return text
	case text == "", endsWith(cause, text):
		return cause
	}
	if share(text, cause) {
		known, more := parts(text), parts(cause)
		if len(without(known, more)) == 0 {
			return cause
		}
		cause = strings.Join(without(more, known), ": ")
	}
	return text + ": " + cause
}

func contains(text, part string) bool {
	return len(part) <= len(text) &&
		(strings.Contains(text, part) || strings.Contains(strings.ToLower(text), strings.ToLower(part)))
}

// endsWith reports whether the last parts of a text are those of another one.
func endsWith(text, end string) bool {
	at := len(text) - len(end)
	return at >= 2 && text[at-2:at] == ": " && strings.EqualFold(text[at:], end)
}

// share reports whether a part of a cause is also a part of a text, or twice in the cause. That is rare, so
// it does without slices of the parts.
func share(text, cause string) bool {
	for rest := cause; rest != ""; {
		var part string
		part, rest = cutPart(rest)
		if has(text, part) || has(rest, part) {
			return true
		}
	}
	return false
}

// has reports whether a text has a part. Case makes no difference.
func has(text, wanted string) bool {
	for text != "" {
		var part string
		if part, text = cutPart(text); strings.EqualFold(part, wanted) {
			return true
		}
	}
	return false
}

// cutPart returns the first part of a text, and the text after it. Texts are split where errors are wrapped
// or joined.
func cutPart(text string) (part, rest string) {
	for i := range len(text) {
		switch {
		case text[i] == '\n':
			return text[:i], text[i+1:]
		case strings.HasPrefix(text[i:], ": "):
			return text[:i], text[i+2:]
		}
	}
	return text, ""
}

func parts(text string) []string {
	return strings.Split(strings.ReplaceAll(text, "\n", ": "), ": ")
}

// without returns the parts that are not among others, each once. Case makes no
// difference.
func without(parts, others []string) (rest []string) {
	for _, part := range parts {
		same := func(other string) bool { return strings.EqualFold(part, other) }
		if !slices.ContainsFunc(others, same) && !slices.ContainsFunc(rest, same) {
			rest = append(rest, part)
		}
	}
	return rest
}

func causes(err error) []error {
	switch err := err.(type) { //nolint:errorlint // only the causes that the error itself holds
	case interface{ Unwrap() error }:
		if cause := err.Unwrap(); cause != nil {
			return []error{cause}
		}
	case interface{ Unwrap() []error }:
		return err.Unwrap()
	}
	return nil
}
