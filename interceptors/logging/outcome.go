package logging

import (
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
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
	return cut(text, maxText)
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

// decisions are what deciding links said of a call: in JSON a list of objects, in
// text "authz refused NOT_ALLOWED by rule 3 in shadow; …".
type decisions []decision

type decision struct {
	Link    string `json:"link"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Shadow  bool   `json:"shadow,omitempty"`
}

func appendDecisions(list []slog.Attr, call *hauberk.Call) []slog.Attr {
	made := call.Decisions()
	if len(made) == 0 {
		return list
	}
	all := make(decisions, 0, len(made))
	for _, d := range made {
		all = append(all, decision{d.Link, d.Verdict.String(), d.Reason, d.Rule, d.Shadow})
	}
	return append(list, slog.Any(KeyDecisions, all))
}

// String is what text handlers write.
func (d decisions) String() string {
	parts := make([]string, 0, len(d))
	for _, one := range d {
		parts = append(parts, one.String())
	}
	return strings.Join(parts, "; ")
}

func (d decision) String() string {
	text := fmt.Sprintf("%s %s", d.Link, d.Verdict)
	if d.Reason != "" {
		text += " " + d.Reason
	}
	if d.Rule != "" {
		text += " by " + d.Rule
	}
	if d.Shadow {
		text += " in shadow"
	}
	return text
}

// cut bounds a text, at the border of a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}
