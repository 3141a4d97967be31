package logging

import (
	"log/slog"
	"strconv"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// maxDecisions is the number of decisions that a record holds.
const maxDecisions = 64

// decisions are the verdicts of deciding interceptors on a call: in JSON a list of
// objects, in text "authz rejected NOT_ALLOWED by rule-3 in shadow; …".
type decisions []hauberk.Decision

func (x *Interceptor) appendDecisions(list []slog.Attr, call *hauberk.Call) []slog.Attr {
	made := call.Decisions().Recorded()
	if x.config.Decisions {
		made = call.Decisions().All()
	}
	if len(made) == 0 {
		return list
	}
	if x.names.Decisions != "" {
		list = append(list, slog.Any(x.names.Decisions, decisions(made[:min(len(made), maxDecisions)])))
	}
	if more := len(made) - maxDecisions; more > 0 {
		list = with(list, x.names.DecisionsDropped, slog.IntValue(more))
	}
	return list
}

// MarshalJSON writes {"interceptor":…,"verdict":…,"reason":…,"rule":…,"shadow":true} for
// each decision, without empty members.
func (d decisions) MarshalJSON() ([]byte, error) {
	buf := make([]byte, 0, 80*len(d))
	for i := range d {
		buf = append(buf, "[,"[min(i, 1)])
		buf = appendDecision(buf, &d[i])
	}
	return append(buf, ']'), nil
}

func appendDecision(buf []byte, d *hauberk.Decision) []byte {
	buf = redact.AppendQuoted(append(buf, `{"interceptor":`...), logtext.Cut(d.Interceptor, maxName))
	buf = append(buf, `,"verdict":"`+d.Verdict.String()+`"`...)
	if d.Reason != "" {
		buf = redact.AppendQuoted(append(buf, `,"reason":`...), logtext.Cut(d.Reason, maxName))
	}
	if d.Rule != "" {
		buf = redact.AppendQuoted(append(buf, `,"rule":`...), logtext.Cut(d.Rule, maxName))
	}
	if d.Shadow {
		buf = append(buf, `,"shadow":true`...)
	}
	return append(buf, '}')
}

// String returns the form of text handlers. A text that is not one word is in quotes, so
// that the name of a rule cannot pass as another decision.
func (d decisions) String() string {
	parts := make([]string, 0, len(d))
	for i := range d {
		parts = append(parts, textOf(&d[i]))
	}
	return strings.Join(parts, "; ")
}

func textOf(d *hauberk.Decision) string {
	text := word(d.Interceptor) + " " + d.Verdict.String()
	if d.Reason != "" {
		text += " " + word(d.Reason)
	}
	if d.Rule != "" {
		text += " by " + word(d.Rule)
	}
	if d.Shadow {
		text += " in shadow"
	}
	return text
}

// word returns a text in the form of one word.
func word(text string) string {
	text = logtext.Cut(text, maxName)
	if text == "" || strings.ContainsFunc(text, breaksWord) {
		return strconv.Quote(text)
	}
	return text
}

func breaksWord(r rune) bool { return r <= ' ' || r == '"' || r == ';' || r >= 0x7f }
