package logging

import (
	"log/slog"
	"strconv"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// maxDecisions is how many decisions a record has of a call.
const maxDecisions = 64

// decisions are what deciding interceptors said of a call: in JSON a list of objects, in
// text "authz rejected NOT_ALLOWED by rule-3 in shadow; …".
type decisions []hauberk.Decision

func (x *Interceptor) appendDecisions(list []slog.Attr, call *hauberk.Call) []slog.Attr {
	made := call.Decisions().Recorded()
	if x.config.Decisions {
		made = call.Decisions().All()
	}
	if len(made) == 0 {
		return list
	}
	list = append(list, slog.Any(KeyDecisions, decisions(made[:min(len(made), maxDecisions)])))
	if more := len(made) - maxDecisions; more > 0 {
		list = append(list, slog.Int(KeyDecisionsDropped, more))
	}
	return list
}

// MarshalJSON writes {"interceptor":…,"verdict":…,"reason":…,"rule":…,"shadow":true} for
// each, without what is empty.
func (d decisions) MarshalJSON() ([]byte, error) {
	buf := make([]byte, 0, 80*len(d))
	for i := range d {
		buf = append(buf, "[,"[min(i, 1)])
		buf = appendDecision(buf, &d[i])
	}
	return append(buf, ']'), nil
}

func appendDecision(buf []byte, d *hauberk.Decision) []byte {
	buf = appendQuoted(append(buf, `{"interceptor":`...), logtext.Cut(d.Interceptor, maxName))
	buf = append(buf, `,"verdict":"`+d.Verdict.String()+`"`...)
	if d.Reason != "" {
		buf = appendQuoted(append(buf, `,"reason":`...), logtext.Cut(d.Reason, maxName))
	}
	if d.Rule != "" {
		buf = appendQuoted(append(buf, `,"rule":`...), logtext.Cut(d.Rule, maxName))
	}
	if d.Shadow {
		buf = append(buf, `,"shadow":true`...)
	}
	return append(buf, '}')
}

// String is what text handlers write. What does not read as one word is in quotes,
// so that no rule reads as another decision.
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

// word returns a text that reads as one word.
func word(text string) string {
	text = logtext.Cut(text, maxName)
	if text == "" || strings.ContainsFunc(text, isNoWord) {
		return strconv.Quote(text)
	}
	return text
}

func isNoWord(r rune) bool { return r <= ' ' || r == '"' || r == ';' || r >= 0x7f }
