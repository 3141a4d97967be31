package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// Record is what is recorded of a call, at one stage. Sinks may keep it, and must not modify what it refers
// to. Its texts are UTF-8 and bounded. Its JSON is one line.
type Record struct {
	// Time is the start of the call at StageStart, and its end at StageEnd.
	Time time.Time
	// Call identifies the call: its records have the same text, and those of other calls, also of other
	// processes, have others.
	Call string
	// Stage is the part of the call that the record is about.
	Stage Stage
	// Side and Kind are those of the call: "server" and "unary".
	Side, Kind string
	// Method is "package.Service/Method", as the client has asked for it, known or not.
	Method string
	// Peer is the address of the other end of the connection, and Client that of the client behind trusted
	// proxies (hauberk.Call.ClientAddr), on a server.
	Peer, Client string
	// State has the texts of [State].
	State map[string]string
	// Who is the identity of the caller, as far as it is known at this stage.
	Who Who
	// Request has the fields of the request that Config.Requests select, by their paths, if the request has
	// been read.
	Request map[string]string
	// Code is the outcome at StageEnd, and Reason that of its rejection, or "".
	Code   codes.Code
	Reason string
	// Panic reports whether the call panicked.
	Panic bool
	// Decisions are the verdicts on the call.
	Decisions []hauberk.Decision
	// Sent and Received are the numbers of messages.
	Sent, Received int64
	// Duration is the time from the start to the end, at StageEnd.
	Duration time.Duration
	// Cut reports whether a bound has left out texts, or a part of one.
	Cut bool
}

// Who is an identity in a record. See [hauberk.Identity].
type Who struct {
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	Tenant  string `json:"tenant"`
	Method  string `json:"method"`
}

// Stage is the part of a call that a record is about.
type Stage uint8

// The stages. StageStart is before the handler runs. StageEnd is when the call has ended, before its response,
// or the status of a stream, leaves.
const (
	StageStart Stage = iota + 1
	StageEnd
)

// String returns "start" or "end".
func (s Stage) String() string {
	switch s {
	case StageStart:
		return "start"
	case StageEnd:
		return "end"
	default:
		return "stage " + strconv.Itoa(int(s))
	}
}

// MarshalJSON returns the record as one line of JSON without a line break. Members that are empty are left
// out.
func (r Record) MarshalJSON() ([]byte, error) { return r.appendJSON(make([]byte, 0, 512)), nil }

// recordStart is how the JSON of each record begins.
const recordStart = `{"time":"`

func (r Record) appendJSON(buf []byte) []byte {
	buf = r.Time.UTC().AppendFormat(append(buf, recordStart...), time.RFC3339Nano)
	buf = append(buf, `","stage":"`+r.Stage.String()+`"`...)
	for _, m := range [...][2]string{
		{"call", r.Call},
		{"side", r.Side},
		{"kind", r.Kind},
		{"method", r.Method},
		{"peer", r.Peer},
		{"client", r.Client},
	} {
		buf = appendMember(buf, m[0], m[1])
	}
	buf = appendMap(buf, "state", r.State)
	if w := r.Who; w != (Who{}) {
		buf = append(buf, `,"who":{"subject":`...)
		buf = redact.AppendQuoted(buf, w.Subject)
		buf = appendMember(buf, "issuer", w.Issuer)
		buf = appendMember(buf, "tenant", w.Tenant)
		buf = append(appendMember(buf, "method", w.Method), '}')
	}
	buf = appendMap(buf, "request", r.Request)
	if r.Stage == StageEnd {
		buf = append(buf, `,"code":"`+codename.Of(r.Code)+`"`...)
		buf = strconv.AppendInt(append(buf, `,"duration_ns":`...), int64(r.Duration), 10)
		buf = strconv.AppendInt(append(buf, `,"sent":`...), r.Sent, 10)
		buf = strconv.AppendInt(append(buf, `,"received":`...), r.Received, 10)
	}
	buf = appendMember(buf, "reason", r.Reason)
	if len(r.Decisions) > 0 {
		buf = appendDecisionList(append(buf, `,"decisions":`...), r.Decisions)
	}
	buf = appendTrue(buf, "panic", r.Panic)
	return append(appendTrue(buf, "cut", r.Cut), '}')
}

func appendMember(buf []byte, name, text string) []byte {
	if text == "" {
		return buf
	}
	return redact.AppendQuoted(append(buf, `,"`+name+`":`...), text)
}

func appendTrue(buf []byte, name string, value bool) []byte {
	if !value {
		return buf
	}
	return append(buf, `,"`+name+`":true`...)
}

func appendMap(buf []byte, name string, texts map[string]string) []byte {
	if len(texts) == 0 {
		return buf
	}
	buf = append(buf, `,"`+name+`":{`...)
	for i, key := range slices.Sorted(maps.Keys(texts)) {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(redact.AppendQuoted(buf, key), ':')
		buf = redact.AppendQuoted(buf, texts[key])
	}
	return append(buf, '}')
}

func appendDecisionList(buf []byte, list []hauberk.Decision) []byte {
	buf = append(buf, '[')
	for i, d := range list {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = redact.AppendQuoted(append(buf, `{"interceptor":`...), d.Interceptor)
		buf = append(buf, `,"verdict":"`+d.Verdict.String()+`"`...)
		buf = appendMember(buf, "reason", d.Reason)
		buf = appendMember(buf, "rule", d.Rule)
		buf = append(appendTrue(buf, "shadow", d.Shadow), '}')
	}
	return append(buf, ']')
}

// line is the JSON of a record.
type line struct {
	Time      time.Time         `json:"time"`
	Stage     string            `json:"stage"`
	Call      string            `json:"call"`
	Side      string            `json:"side"`
	Kind      string            `json:"kind"`
	Method    string            `json:"method"`
	Peer      string            `json:"peer"`
	Client    string            `json:"client"`
	State     map[string]string `json:"state"`
	Who       Who               `json:"who"`
	Request   map[string]string `json:"request"`
	Code      *string           `json:"code"`
	Duration  int64             `json:"duration_ns"`
	Sent      int64             `json:"sent"`
	Received  int64             `json:"received"`
	Reason    string            `json:"reason"`
	Decisions []decision        `json:"decisions"`
	Panic     bool              `json:"panic"`
	Cut       bool              `json:"cut"`
}

type decision struct {
	Interceptor string `json:"interceptor"`
	Verdict     string `json:"verdict"`
	Reason      string `json:"reason"`
	Rule        string `json:"rule"`
	Shadow      bool   `json:"shadow"`
}

// errNoRecord means that JSON is not that of a record.
var errNoRecord = errors.New("not a record of package audit")

// UnmarshalJSON reads what MarshalJSON has written. It ignores members that it does not know.
func (r *Record) UnmarshalJSON(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("%w: %w", errNoRecord, err)
	}
	read := Record{
		Time: l.Time, Call: l.Call, Side: l.Side, Kind: l.Kind, Method: l.Method, Peer: l.Peer, Client: l.Client,
		State: l.State, Who: l.Who, Request: l.Request, Reason: l.Reason, Panic: l.Panic,
		Sent: l.Sent, Received: l.Received,
		Duration: time.Duration(l.Duration), Cut: l.Cut,
	}
	switch {
	case l.Stage == StageStart.String():
		read.Stage = StageStart
	case l.Stage == StageEnd.String() && l.Code != nil:
		read.Stage = StageEnd
		code, ok := codename.Parse(*l.Code)
		if !ok {
			return fmt.Errorf("%w: the code %q", errNoRecord, *l.Code)
		}
		read.Code = code
	default:
		return fmt.Errorf("%w: the stage %q", errNoRecord, l.Stage)
	}
	for _, d := range l.Decisions {
		made := hauberk.Decision{Interceptor: d.Interceptor, Reason: d.Reason, Rule: d.Rule, Shadow: d.Shadow}
		switch d.Verdict {
		case hauberk.Allowed.String():
		case hauberk.Rejected.String():
			made.Verdict = hauberk.Rejected
		default:
			return fmt.Errorf("%w: the verdict %q", errNoRecord, d.Verdict)
		}
		read.Decisions = append(read.Decisions, made)
	}
	*r = read
	return nil
}
