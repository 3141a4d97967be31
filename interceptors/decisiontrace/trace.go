package decisiontrace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// ErrTruncated is the error of [Parse], for errors.Is, if the server omitted decisions that did not fit.
// Parse returns the others together with the error.
var ErrTruncated = errors.New("decisiontrace: the trace is not complete")

// Ask returns a context whose calls request the trace, with the key [DefaultRequest].
func Ask(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, DefaultRequest, requested)
}

// Parse reads the trace in the trailer of a call, with the key [DefaultTrailer]. It returns the server's
// decisions in the order of its chain, or nil without an error if the server sent none. If several
// servers on the path sent traces, the decisions of the server that the caller is connected to come
// last.
//
// The texts come from the server and are untrusted.
func Parse(trailer metadata.MD) ([]hauberk.Decision, error) {
	return ParseKey(trailer, DefaultTrailer)
}

// ParseKey is like [Parse], for servers with another [Config.Trailer].
func ParseKey(trailer metadata.MD, key string) ([]hauberk.Decision, error) {
	var all []hauberk.Decision
	omitted := 0
	for _, value := range trailer.Get(key) {
		decisions, n, err := decode(value)
		if err != nil {
			return nil, fmt.Errorf("decisiontrace: the trailer %q: %w", key, err)
		}
		all = append(all, decisions...)
		omitted += n
	}
	if omitted > 0 {
		return all, fmt.Errorf("%w: %d decisions were omitted", ErrTruncated, omitted)
	}
	return all, nil
}

// trace is the value of the trailer.
type trace struct {
	Decisions []decision `json:"decisions"`
	Omitted   int        `json:"omitted,omitempty"`
}

// decision is a [hauberk.Decision] in a trace.
type decision struct {
	Interceptor string `json:"interceptor"`
	Rule        string `json:"rule,omitempty"`
	Verdict     string `json:"verdict"`
	Reason      string `json:"reason,omitempty"`
	Shadow      bool   `json:"shadow,omitempty"`
}

// maxOmitted is greater than the number of decisions of any call. It prevents overflow of sums.
const maxOmitted = 1 << 20

func decode(value string) (decisions []hauberk.Decision, omitted int, err error) {
	var t trace
	if err := json.Unmarshal([]byte(value), &t); err != nil {
		return nil, 0, fmt.Errorf("%w; want the JSON of a trace", err)
	}
	if t.Omitted < 0 || t.Omitted > maxOmitted {
		return nil, 0, fmt.Errorf(`"omitted" is %d; want 0 to %d`, t.Omitted, maxOmitted)
	}
	for i, d := range t.Decisions {
		verdict := hauberk.Allowed
		switch d.Verdict {
		case hauberk.Allowed.String():
		case hauberk.Rejected.String():
			verdict = hauberk.Rejected
		default:
			return nil, 0, fmt.Errorf(`the verdict of decision %d is %q; want "allowed" or "rejected"`, i+1, d.Verdict)
		}
		decisions = append(decisions, hauberk.Decision{
			Interceptor: d.Interceptor, Rule: d.Rule, Verdict: verdict, Reason: d.Reason, Shadow: d.Shadow,
		})
	}
	return decisions, t.Omitted, nil
}

// encode returns the trace with the decisions that fit into limit bytes. Rejections take precedence, then
// earlier decisions.
func encode(decisions []hauberk.Decision, limit int) string {
	texts := make([]string, len(decisions))
	room := limit - len(head) - len(tail(len(decisions)))
	for _, verdict := range []hauberk.Verdict{hauberk.Rejected, hauberk.Allowed} {
		for i, d := range decisions {
			if text := encodeOne(d); d.Verdict == verdict && len(text)+1 <= room {
				texts[i] = text
				room -= len(text) + 1
			}
		}
	}
	return join(texts)
}

const head = `{"decisions":[`

func tail(omitted int) string {
	if omitted == 0 {
		return "]}"
	}
	return `],"omitted":` + strconv.Itoa(omitted) + "}"
}

// join returns the trace for the texts of its decisions. The text of an omitted decision is empty.
func join(texts []string) string {
	var b strings.Builder
	b.WriteString(head)
	comma, omitted := "", 0
	for _, text := range texts {
		if text == "" {
			omitted++
			continue
		}
		b.WriteString(comma + text)
		comma = ","
	}
	b.WriteString(tail(omitted))
	return b.String()
}

func encodeOne(d hauberk.Decision) string {
	text, _ := json.Marshal(decision{ //nolint:errchkjson // strings and a bool cannot fail
		Interceptor: d.Interceptor, Rule: d.Rule, Verdict: d.Verdict.String(), Reason: d.Reason, Shadow: d.Shadow,
	})
	return toASCII(string(text))
}

// toASCII escapes characters that are not printable ASCII. In the output of encoding/json they occur in
// strings only.
func toASCII(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x7f {
			b.WriteByte(byte(r))
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
